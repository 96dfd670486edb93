//! Every chore of the project as `cargo xtask <command>`, set-up included: on a fresh Debian machine with Rust and
//! Node, `cargo xtask demo` and `cargo xtask test` need nothing before them.
//!
//! Progress goes to standard error, so that the standard output of `demo` and `bench` stays theirs (it ends with one
//! line of JSON).

mod check;
mod cli;
mod former;
mod fuzz;
mod glue;
mod launch;
mod names;
mod native;
mod order;
mod packed;
mod proc;
mod release;
mod setup;
mod size;
mod stamp;
mod step;
mod streams;
mod wasm;
mod web;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::main() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
