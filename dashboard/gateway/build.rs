//! Builds the web client with npm into `OUT_DIR`, from its lock file. The source tree is only read.
//!
//! Without Node, or with `WAYSTREAM_SKIP_WEB` set, a page that says so takes its place: the program must build anyway.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What of `dashboard/web` goes into the build.
const SOURCES: [&str; 8] =
    ["package.json", "package-lock.json", "index.html", "share.html", "tsconfig.json", "vite.config.ts", "src", "public"];

fn main() -> Result<(), Box<dyn Error>> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../web");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed=WAYSTREAM_SKIP_WEB");
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES.map(|name| web.join(name)) {
        if source.exists() {
            println!("cargo::rerun-if-changed={}", source.display());
        }
    }
    let target = out.join("web");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    let built = if env::var_os("WAYSTREAM_SKIP_WEB").is_some() {
        Err("WAYSTREAM_SKIP_WEB was set when waystream was built.".into())
    } else {
        build(&web, &out.join("web-build"), &target)
    };
    if let Err(reason) = built {
        println!("cargo::warning=the dashboard's page is not built: {}", reason.to_string().lines().next().unwrap_or_default());
        for page in ["index.html", "share.html"] {
            fs::write(target.join(page), placeholder(&reason.to_string()))?;
        }
    }
    Ok(())
}

/// Copies the sources, so that neither `node_modules` nor anything else appears beside them, and builds the copy.
fn build(web: &Path, copy: &Path, target: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(copy)?;
    let installed = fs::read(copy.join("package-lock.json")).ok();
    for name in SOURCES {
        replace(&web.join(name), &copy.join(name))?;
    }
    let lock = fs::read(copy.join("package-lock.json"))?;
    if installed.as_ref() != Some(&lock) || !copy.join("node_modules/.package-lock.json").exists() {
        npm(copy, target, &["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    }
    npm(copy, target, &["run", "build"])
}

fn npm(copy: &Path, target: &Path, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let done = Command::new("npm").args(arguments).current_dir(copy).env("WAYSTREAM_WEB_OUT", target).output();
    let done = done.map_err(|e| format!("npm could not be started ({e}). Install Node.js with npm and build again."))?;
    if done.status.success() {
        return Ok(());
    }
    let text = [done.stdout, done.stderr].concat();
    Err(format!("npm {} failed.\n{}", arguments.join(" "), String::from_utf8_lossy(&text)).into())
}

fn replace(from: &Path, to: &Path) -> io::Result<()> {
    if to.is_dir() {
        fs::remove_dir_all(to)?;
    }
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            replace(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if from.exists() {
        fs::copy(from, to)?;
    }
    Ok(())
}

fn placeholder(reason: &str) -> String {
    let escaped = reason.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>waystream</title>\
         <h1>The dashboard's page is missing</h1><p>waystream runs, but its web client was not built:</p><pre>{escaped}</pre>\
         <p>Install Node.js 20.19 or newer with npm, then build waystream again.</p></html>\n"
    )
}
