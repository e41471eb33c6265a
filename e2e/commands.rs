//! What the command line costs, and what compiling a large plan does: none of it needs a Nomad.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use dtree::manifest::Manifest;
use dtree::plan::Plan;
use serde_json::{Value, json};

use super::harness::Binaries;
use super::spread;

/// Jobs of the large tree, and of a layer of it.
const JOBS: usize = 10_100;
const WIDTH: usize = 100;
/// Jobs of the tree that is drawn.
const DRAWN: usize = 1000;
/// Runs that are timed.
const RUNS: usize = 20;

/// A row for each command.
pub(crate) fn print_rows() -> Result<(), String> {
    println!("| start of the binary (`dtree --version`) | {} |", spread(&mut times(&["--version"])?));
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let large = written(dir.path(), "large", JOBS)?;
    let edges: usize = (0..JOBS).map(|i| needs(i).len()).sum();
    for (words, args) in
        [("check", vec!["check", &large]), ("plan --offline", vec!["plan", "--offline", &large])]
    {
        println!("| `{words}` of {JOBS} jobs and {edges} edges | {} |", spread(&mut times(&args)?));
    }
    let drawn = written(dir.path(), "drawn", DRAWN)?;
    let args = ["graph", &drawn, "--format", "svg"];
    println!("| SVG of {DRAWN} jobs | {} |", spread(&mut times(&args)?));
    print_plan()
}

/// Milliseconds from the start of the process to its end.
fn times(args: &[&str]) -> Result<Vec<f64>, String> {
    let dtree = &Binaries::find()?.dtree;
    let time = |_| {
        let began = Instant::now();
        let output = Command::new(dtree).args(args).output().map_err(|error| error.to_string())?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        if output.status.success() {
            Ok(took)
        } else {
            Err(format!("dtree {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)))
        }
    };
    (0..RUNS).map(time).collect()
}

/// A tree of `n` jobs with a jobspec each, as a file of a user; its path.
fn written(dir: &Path, name: &str, n: usize) -> Result<String, String> {
    let block = |i| {
        let needs: Vec<String> = needs(i).into_iter().map(|need| format!("{need:?}")).collect();
        let needs = needs.join(", ");
        format!(
            "  job \"job-{i}\" {{\n    jobspec    = \"job-{i}.nomad.hcl\"\n    depends_on = [{needs}]\n  }}\n"
        )
    };
    let blocks: String = (0..n).map(block).collect();
    for i in 0..n {
        let job = format!(
            "job \"job-{i}\" {{\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"docker\"\n    }}\n  }}\n}}\n"
        );
        fs::write(dir.join(format!("job-{i}.nomad.hcl")), job).map_err(|error| error.to_string())?;
    }
    let text = format!("tree \"{name}\" {{\n{blocks}}}\n");
    let file = dir.join(format!("{name}.dtree.hcl"));
    fs::write(&file, text).map_err(|error| error.to_string())?;
    Ok(file.display().to_string())
}

/// Layers of jobs, each of which needs three of the layer before.
fn needs(i: usize) -> BTreeSet<String> {
    let above = (i / WIDTH).checked_sub(1);
    let three = [i, i * 7 + 3, i * 11 + 5].map(|k| above.map(|row| row * WIDTH + k % WIDTH));
    three.into_iter().flatten().map(|i| format!("job-{i}")).collect()
}

/// How long a large plan takes to be compiled and ordered.
fn print_plan() -> Result<(), String> {
    let block = |i: usize| -> (String, Value) {
        (format!("job-{i}"), json!({ "jobspec": "local/job.nomad.hcl", "depends_on": needs(i) }))
    };
    let config = json!({ "job": (0..JOBS).map(block).collect::<serde_json::Map<_, _>>() });
    let config = rmp_serde::to_vec(&config).map_err(|error| error.to_string())?;
    let (manifest, problems) = Manifest::from_msgpack(&config);
    let tree = manifest.tree.as_ref().ok_or_else(|| problems.to_string())?;
    let n_edges: usize = tree.jobs.values().map(|job| job.depends_on.len()).sum();
    let mut took = Vec::new();
    for _ in 0..RUNS {
        let (manifest, problems) = (manifest.clone(), problems.clone());
        let began = Instant::now();
        let plan = Plan::compile(manifest, problems).map_err(|problems| problems.to_string())?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(plan.order().len(), JOBS);
    }
    println!("| plan of {JOBS} jobs and {n_edges} edges: compiled and ordered | {} |", spread(&mut took));
    Ok(())
}
