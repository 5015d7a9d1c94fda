//! Compiles the schemas with a protobuf compiler written in Rust: a build needs no `protoc` on the machine.

use std::{env, error::Error, fs, path::PathBuf};

use protox::prost::Message as _;

/// In a fixed order, so that the descriptors come out byte by byte the same everywhere.
const SCHEMAS: [&str; 3] = ["auth/v1/events.proto", "media/v1/events.proto", "portfolio/v1/events.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is set by cargo")?);

    let mut descriptors = protox::compile(SCHEMAS, ["proto"])?;
    prost_build::Config::new().out_dir(&out).compile_fds(descriptors.clone())?;

    // The generated types have taken the comments over; what the program carries needs none.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    fs::write(out.join("descriptors.binpb"), descriptors.encode_to_vec())?;
    Ok(())
}
