//! A tree, drawn.

use insta::assert_snapshot;

use super::{SHOP, dtree};

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
