//! Compiles the first program of every container, which the crate carries along as bytes.
//!
//! It is a program without libraries, for the machine that the crate is for, so the compiler and
//! the linker that make the crate make it as well.

use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

const SOURCE: &str = "first/first.rs";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| {
        env::var(name).map_err(|_| io::Error::other(format!("cargo did not set `{name}`")))
    };
    let output = PathBuf::from(variable("OUT_DIR")?).join("first");
    let mut compiler = Command::new(variable("RUSTC")?);
    compiler
        .args([
            "--edition",
            "2024",
            "--crate-name",
            "first",
            "--crate-type",
            "bin",
        ])
        .args(["--target", &variable("TARGET")?, "-o"])
        .arg(&output)
        .args([
            "-C",
            "opt-level=s",
            "-C",
            "panic=abort",
            "-C",
            "strip=symbols",
        ])
        .args([
            "-C",
            "relocation-model=static",
            "-C",
            "target-feature=+crt-static",
        ])
        .args(["-C", "overflow-checks=off", "-C", "debug-assertions=off"])
        .args(["-C", "link-args=-nostartfiles -nostdlib -static -no-pie"])
        .args(["-C", "link-args=-Wl,--build-id=none -Wl,-z,noseparate-code"]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg("-C").arg(format!("linker={linker}"));
    }
    let status = compiler.arg(SOURCE).status()?;
    if !status.success() {
        return Err(io::Error::other(format!(
            "`{SOURCE}` could not be compiled: {status}"
        )));
    }
    Ok(())
}
