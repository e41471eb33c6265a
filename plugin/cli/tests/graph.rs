//! A tree, drawn.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SHOP, dtree, said_with};

#[test]
fn a_graph_is_drawn_in_three_ways() {
    let files: &[(&str, &[u8])] = &[("shop.dtree.hcl", SHOP.as_bytes())];
    assert_snapshot!(dtree(files, &["graph", "shop.dtree.hcl"], ""), @r#"
    tree "shop"
       1  postgres
          redis (wait)
       2  setup (hook)  after postgres
       3  api  after redis, setup
       4  nginx  after api
    --- exit 0
    "#);
    assert_snapshot!(dtree(files, &["graph", "--format", "dot", "shop.dtree.hcl"], ""), @r#"
    digraph "tree \"shop\"" {
      rankdir = LR
      node [shape = box]
      "postgres"
      "redis" [shape = oval]
      "setup" [style = dashed]
      "api"
      "nginx"
      "postgres" -> "setup"
      "redis" -> "api"
      "setup" -> "api"
      "api" -> "nginx"
    }
    --- exit 0
    "#);
    assert_snapshot!(dtree(files, &["graph", "--format", "mermaid", "shop.dtree.hcl"], ""), @r#"
    flowchart LR
        n0["postgres"]
        n1(["redis"])
        n2[/"setup"/]
        n3["api"]
        n4["nginx"]
        n0 --> n2
        n1 --> n3
        n2 --> n3
        n3 --> n4
    --- exit 0
    "#);
}

#[test]
fn a_picture_is_one_file_with_all_that_it_needs() {
    let files: &[(&str, &[u8])] = &[("shop.dtree.hcl", SHOP.as_bytes())];
    assert_snapshot!(dtree(files, &["graph", "--format", "svg", "shop.dtree.hcl"], ""), @r#"
    <svg xmlns="http://www.w3.org/2000/svg" role="img" width="408" height="194" viewBox="0 0 408 194">
    <title>tree &quot;shop&quot;</title>
    <style>text{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#16202c}.said{fill:#77828f}rect{stroke:#5d6b7b;stroke-width:1.2}.job{fill:#e9eff7}.hook{fill:#f8efdc;stroke-dasharray:4 3}.wait{fill:#e2f2e7}.absent{fill:#eceef0;stroke-dasharray:1.5 3}.line{fill:none;stroke:#8592a1;stroke-width:1.3}.tip{fill:#8592a1}.circle{stroke:#d0402b}.line.circle{stroke-width:2}.tip.circle{fill:#d0402b;stroke:none}rect.circle{stroke-width:2.2}</style>
    <text class="said" x="16" y="26">tree &quot;shop&quot;</text>
    <g transform="translate(16 46)">
    <path class="line" d="M80.0 14.0C102.0 14.0 102.0 14.0 124.0 14.0"/><path class="tip" d="M124.0 14.0l-7.0 3.5v-7.0z"/>
    <path class="line" d="M182.2 54.0C205.9 54.0 205.9 34.0 229.6 34.0"/><path class="tip" d="M229.6 34.0l-7.0 3.5v-7.0z"/>
    <path class="line" d="M182.2 14.0C205.9 14.0 205.9 34.0 229.6 34.0"/><path class="tip" d="M229.6 34.0l-7.0 3.5v-7.0z"/>
    <path class="line" d="M273.3 34.0C295.3 34.0 295.3 34.0 317.3 34.0"/><path class="tip" d="M317.3 34.0l-7.0 3.5v-7.0z"/>
    <g><title>postgres</title><rect class="job" x="0.0" y="0.0" width="80.0" height="28" rx="5"/><text x="40.0" y="18.0" text-anchor="middle">postgres</text></g>
    <g><title>redis</title><rect class="wait" x="124.0" y="40.0" width="58.2" height="28" rx="14"/><text x="153.1" y="58.0" text-anchor="middle">redis</text></g>
    <g><title>setup</title><rect class="hook" x="124.0" y="0.0" width="58.2" height="28" rx="5"/><text x="153.1" y="18.0" text-anchor="middle">setup</text></g>
    <g><title>api</title><rect class="job" x="229.6" y="20.0" width="43.8" height="28" rx="5"/><text x="251.5" y="38.0" text-anchor="middle">api</text></g>
    <g><title>nginx</title><rect class="job" x="317.3" y="20.0" width="58.2" height="28" rx="5"/><text x="346.5" y="38.0" text-anchor="middle">nginx</text></g>
    </g>
    <g transform="translate(16 164)"><g><title>job</title><rect class="job" x="0.0" y="-14.0" width="43.8" height="28" rx="5"/><text x="21.9" y="4.0" text-anchor="middle">job</text></g>
    <g><title>hook</title><rect class="hook" x="54.8" y="-14.0" width="51.0" height="28" rx="5"/><text x="80.2" y="4.0" text-anchor="middle">hook</text></g>
    <g><title>wait</title><rect class="wait" x="116.8" y="-14.0" width="51.0" height="28" rx="14"/><text x="142.2" y="4.0" text-anchor="middle">wait</text></g>
    </g>
    </svg>
    --- exit 0
    "#);

    let odd = "tree \"<a> & \\\"b\\\"\" {\n  wait \"<&>\" {}\n}\n";
    let odd = dtree(&[], &["graph", "--format", "svg", "-"], odd);
    assert!(odd.contains("&lt;a&gt; &amp; ") && odd.contains(">&lt;&amp;&gt;</text>"), "{odd}");

    let two = "tree \"a\" {\n  wait \"x\" {}\n}\ntree \"b\" {\n  wait \"y\" {}\n}\n";
    assert_snapshot!(dtree(&[], &["graph", "--format", "svg", "-"], two), @"
    --- stderr
    dtree: stdin declares 2 trees and tasks, and a picture shows one: keep one of them in a file of its own
    --- exit 2
    ");
}

/// How many questions about jobs are open, and how many were at most.
#[derive(Default)]
struct Open {
    now: Mutex<(usize, usize)>,
    changed: Condvar,
}

/// Answers one request as a Nomad with so many jobs does, each of which waits for the one before it. A question about a job is
/// answered when so many others are open, or when it is one of the last.
fn answer(mut stream: TcpStream, open: &Open, jobs: usize, at_once: usize) {
    let mut request = vec![0; 4096];
    let n = stream.read(&mut request).unwrap();
    request.truncate(n);
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let mut status = "200 OK";
    let body: Value = if path.starts_with("/v1/acl") {
        status = "400 Bad Request";
        "ACL support disabled".into()
    } else if let Some(name) = path.strip_prefix("/v1/job/job-") {
        let n: usize = name.split('?').next().unwrap().parse().unwrap();
        let mut count = open.now.lock().unwrap();
        count.0 += 1;
        count.1 = count.1.max(count.0);
        open.changed.notify_all();
        if n < jobs / 2 {
            count = open.changed.wait_while(count, |count| count.1 < at_once).unwrap();
        }
        count.0 -= 1;
        drop(count);
        let wait = format!("job-{}", n.saturating_sub(1));
        let task = json!({ "Name": "gate", "Driver": "dtree", "Config": { "wait": [{ wait: [{}] }] } });
        json!({ "ID": format!("job-{n}"), "TaskGroups": [{ "Name": "g", "Tasks": [task] }] })
    } else if path.starts_with("/v1/jobs") {
        let job = |n: usize| json!({ "ID": format!("job-{n}"), "Namespace": "default", "Meta": null });
        (0..jobs).map(job).collect()
    } else {
        json!({})
    };
    let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    let head = format!(
        "HTTP/1.1 {status}\r\nX-Nomad-Index: 1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).ok();
}

#[test]
fn the_jobs_of_a_cluster_are_asked_about_sixteen_at_a_time() {
    const JOBS: usize = 64;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let open = Arc::new(Open::default());
    let seen = Arc::clone(&open);
    // It ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let open = Arc::clone(&open);
            thread::spawn(move || answer(stream, &open, JOBS, 16));
        }
    });
    let home = TempDir::new().unwrap();
    let graph = said_with(home.path(), &["graph", "--cluster"], "", &[("NOMAD_ADDR", &address)]);
    assert!(graph.ends_with("--- exit 0"), "{graph}");
    assert!(graph.contains("64  default/job-63  after default/job-62"), "{graph}");
    assert_eq!(seen.now.lock().unwrap().1, 16, "at most");
}
