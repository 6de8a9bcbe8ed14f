//! Runs a GLiNER model over texts with gline-rs, in batches of their order.
//!
//! usage: bench-gline-rs FOLDER TEXTS.jsonl LABELS MODE BATCH THREADS
//!
//! LABELS are separated by commas, MODE is `span` or `token`. Prints one JSON object: seconds without loading the model,
//! the number of spans, and how many words its default limit of 512 cut off.

use std::{env, error::Error, fs, time::Instant};

use gliner::{
    model::{
        GLiNER,
        input::text::TextInput,
        output::decoded::SpanOutput,
        params::Parameters,
        pipeline::{span::SpanMode, token::TokenMode},
    },
    text::splitter::{RegexSplitter, Splitter as _},
};
use orp::params::RuntimeParameters;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [folder, texts, labels, mode, batch, threads] = args.as_slice() else {
        return Err("usage: bench-gline-rs FOLDER TEXTS.jsonl LABELS span|token BATCH THREADS".into());
    };
    let (batch, threads): (usize, usize) = (batch.parse()?, threads.parse()?);
    let labels: Vec<String> = labels.split(',').map(str::to_owned).collect();
    let mut lines = Vec::new();
    for line in fs::read_to_string(texts)?.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let text = record["text"].as_str().ok_or("a record has no text")?;
        lines.push(text.to_owned());
    }
    let limit = Parameters::default().max_length;
    let splitter = RegexSplitter::default();
    let mut lost = 0;
    for line in &lines {
        lost += splitter.split(line, None)?.len() - splitter.split(line, limit)?.len();
    }
    let runtime = RuntimeParameters::default().with_threads(threads);
    let (tokenizer, graph) = (format!("{folder}/tokenizer.json"), format!("{folder}/onnx/model.onnx"));
    let infer: Box<dyn Fn(TextInput) -> Result<SpanOutput, Box<dyn Error + Send + Sync>>> = match &**mode {
        "span" => {
            let model = GLiNER::<SpanMode>::new(Parameters::default(), runtime, tokenizer, graph)?;
            Box::new(move |input| model.inference(input))
        }
        "token" => {
            let model = GLiNER::<TokenMode>::new(Parameters::default(), runtime, tokenizer, graph)?;
            Box::new(move |input| model.inference(input))
        }
        _ => return Err("the mode is span or token".into()),
    };
    let began = Instant::now();
    let mut spans = 0;
    for batch in lines.chunks(batch) {
        let output = infer(TextInput::new(batch.to_vec(), labels.clone())?)?;
        spans += output.spans.iter().map(Vec::len).sum::<usize>();
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({"seconds": seconds, "spans": spans, "words_lost": lost}));
    Ok(())
}
