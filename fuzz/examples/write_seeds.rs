//! Writes the inputs that are encodings into the corpus, anew after a change of the wire:
//! `cargo run --release -p rillcast-fuzz --example write_seeds`.

use std::path::Path;
use std::{fs, io};

use rillcast_fuzz::seeds;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let all = seeds::all();
    for seed in &all {
        let folder = corpus.join(seed.target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(&seed.name), &seed.bytes)?;
    }
    println!("{} inputs written below {}", all.len(), corpus.display());
    Ok(())
}
