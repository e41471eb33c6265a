//! Turns `proto/` into Rust: one tree for go-plugin's services, one for Nomad's. No `protoc` needs to be installed.

use std::error::Error;

/// The root of all imports.
const ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    for (files, module) in [
        (&["goplugin/plugin.proto"][..], "goplugin.rs"),
        (&["nomad/base.proto", "nomad/driver.proto"], "nomad.rs"),
    ] {
        let messages = protox::compile(files, [ROOT])?;
        // Maps in order, so that what is sent is the same each time.
        tonic_prost_build::configure()
            .btree_map(".")
            .codec_path("crate::goplugin::SmallCodec")
            .include_file(module)
            .compile_fds(messages)?;
    }
    Ok(())
}
