"""A llama.cpp server with a tiny model of random weights, whose tokens are bytes.

What it answers means nothing; a grammar gives it the form that a test needs. Prints its address when it answers, and ends
when its standard input does.

usage: tiny_server.py CONTEXT SLOTS
"""
import os
import sys
import tempfile

import gguf
import numpy as np
import xllamacpp

WIDTH, HEADS, LAYERS, INNER = 64, 4, 2, 128


def write(path: str, context: int) -> None:
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{byte:02X}>".encode() for byte in range(256)]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3] + [6] * 256)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(False)

    def tensor(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.3).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    writer.add_tensor("token_embd.weight", tensor(len(tokens), WIDTH))
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", tensor(len(tokens), WIDTH))
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{block}{name}.weight", tensor(WIDTH, WIDTH))
        writer.add_tensor(f"{block}ffn_gate.weight", tensor(INNER, WIDTH))
        writer.add_tensor(f"{block}ffn_up.weight", tensor(INNER, WIDTH))
        writer.add_tensor(f"{block}ffn_down.weight", tensor(WIDTH, INNER))
        writer.add_tensor(f"{block}attn_norm.weight", ones)
        writer.add_tensor(f"{block}ffn_norm.weight", ones)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    context, slots = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tiny.gguf")
        write(path, context)
        params = xllamacpp.CommonParams()
        params.model.path = path
        params.model_alias = {"tiny"}
        params.n_ctx = context * slots
        params.n_parallel = slots
        params.port = 0
        params.cpuparams.n_threads = 1
        params.warmup = False
        server = xllamacpp.Server(params)
        print(server.listening_address, flush=True)
        sys.stdin.read()
        # The server's threads would outlive an orderly end.
        sys.stdout.flush()
    os._exit(0)


main()
