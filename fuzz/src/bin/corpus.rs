//! Writes the binary items of the corpus: `cargo run --bin corpus` in this folder.
fn main() {
    weir_fuzz::corpus::write(std::path::Path::new("corpus"));
}
