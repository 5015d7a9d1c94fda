//! The `auth` program.

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match auth::cli::Cli::parse().run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // One line, also where an operator looks first: in the container's log.
            eprintln!("auth: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
