//! Trees for stories, as text, the way a user writes them: the jobspecs come in through templates.

use std::fmt::Write;

use super::Job;

/// A batch job whose one task, `tree`, submits jobs.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// Its ID.
    pub(crate) id: String,
    namespace: String,
    options: String,
    nodes: Vec<Node>,
    hooks: Vec<(&'static str, Hook)>,
    run: String,
    task: String,
    group: String,
    reschedule: &'static str,
}

/// A `job` block.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    label: String,
    jobspec: String,
    text: Option<String>,
    job: Option<(String, String)>,
    inside: String,
    hooks: Vec<(&'static str, Hook)>,
}

/// A hook's block.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    label: String,
    text: Option<String>,
    inside: String,
    retain: &'static str,
}

impl Tree {
    /// Without any node yet.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            namespace: "default".to_owned(),
            options: String::new(),
            nodes: Vec::new(),
            hooks: Vec::new(),
            run: "1".to_owned(),
            task: String::new(),
            group: String::new(),
            reschedule: "attempts  = 0\n      unlimited = false",
        }
    }

    /// Nomad places it again when its allocation was stopped, or its client is away.
    pub(crate) fn placed_again(mut self) -> Self {
        self.reschedule = "attempts       = 3\n      interval       = \"1h\"\n      delay          = \"5s\"\n      delay_function = \"constant\"\n      unlimited      = false";
        self
    }

    /// In another namespace.
    pub(crate) fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// One more job.
    pub(crate) fn node(mut self, node: Node) -> Self {
        self.nodes.push(node);
        self
    }

    /// A hook of the task itself: in which kind of block.
    pub(crate) fn hook(mut self, block: &'static str, hook: Hook) -> Self {
        self.hooks.push((block, hook));
        self
    }

    /// The same as another node of this label, if there is one.
    pub(crate) fn replace(mut self, node: Node) -> Self {
        self.nodes.retain(|other| other.label != node.label);
        self.node(node)
    }

    /// More inside of `config {}`.
    pub(crate) fn option(mut self, hcl: &str) -> Self {
        self.options.push_str(hcl);
        self.options.push_str("\n        ");
        self
    }

    /// The same, stopped: with this inside of the `stop` block.
    pub(crate) fn stopped(self, stop: &str) -> Self {
        self.option("verb = \"stop\"").option(&format!("stop {{\n {stop}\n }}"))
    }

    /// More inside of the task.
    pub(crate) fn task(mut self, hcl: &str) -> Self {
        hcl.clone_into(&mut self.task);
        self
    }

    /// More inside of the group.
    pub(crate) fn group(mut self, hcl: &str) -> Self {
        hcl.clone_into(&mut self.group);
        self
    }

    /// Another value is another run.
    pub(crate) fn run(mut self, run: &str) -> Self {
        run.clone_into(&mut self.run);
        self
    }

    /// IDs and namespaces of its jobs.
    pub(super) fn jobs(&self) -> Vec<(String, String)> {
        self.nodes.iter().filter_map(|node| node.job.clone()).collect()
    }

    /// As a jobspec.
    pub(crate) fn hcl(&self) -> String {
        let Self { id, namespace, options, run, task, group, reschedule, .. } = self;
        let mut blocks = String::new();
        let mut templates = String::new();
        for node in &self.nodes {
            let Node { label, jobspec, text, inside, hooks, .. } = node;
            if let Some(text) = text {
                template(&mut templates, jobspec, text);
            }
            let inner = hook_blocks(&mut templates, hooks);
            let _infallible =
                write!(blocks, "\njob \"{label}\" {{\n jobspec = \"{jobspec}\"\n {inside}\n {inner}\n }}\n");
        }
        blocks.push_str(&hook_blocks(&mut templates, &self.hooks));
        format!(
            r#"job "{id}" {{
  namespace = "{namespace}"
  type      = "batch"

  meta {{
    run = "{run}"
  }}

  group "g" {{
    restart {{
      attempts = 0
      mode     = "fail"
    }}

    reschedule {{
      {reschedule}
    }}
    {group}

    task "tree" {{
      driver = "dtree"

      identity {{
        file = true
      }}

      config {{
        {options}{blocks}
      }}
      {task}
      {templates}

      resources {{
        cpu    = 10
        memory = 10
      }}
    }}
  }}
}}
"#
        )
    }
}

/// A block that brings a text to a path in the task's directory, unharmed.
pub(crate) fn template_of(path: &str, text: &str) -> String {
    let mut block = String::new();
    template(&mut block, path, text);
    block
}

/// Blocks of hooks; their jobspecs come in through templates.
fn hook_blocks(templates: &mut String, hooks: &[(&'static str, Hook)]) -> String {
    let mut blocks = String::new();
    for (moment, hook) in hooks {
        let Hook { label, text, inside, retain } = hook;
        if let Some(text) = text {
            template(templates, &format!("local/{label}.nomad.hcl"), text);
        }
        let _infallible =
            write!(blocks, "\n{moment} \"{label}\" {{\n retain = \"{retain}\"\n {inside}\n }}\n");
    }
    blocks
}

/// Brings a text to a path in the task's directory, unharmed.
fn template(templates: &mut String, path: &str, text: &str) {
    if templates.contains(&format!("\"{path}\"")) {
        // Two nodes of one file.
        return;
    }
    // Only the jobspec's own expansion has to be held off; the client's uses the delimiters.
    let text = text.replace("${", "$${").replace("%{", "%%{");
    let _infallible = write!(
        templates,
        r#"
      template {{
        destination     = "{path}"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
        data            = <<END_OF_JOBSPEC
{text}
END_OF_JOBSPEC
      }}
"#
    );
}

impl Node {
    /// Of a job whose ID is its label.
    pub(crate) fn of(job: &Job) -> Self {
        Self::of_text(&job.id, &job.hcl()).registering(&job.id, &job.namespace)
    }

    /// Of a jobspec's text.
    pub(crate) fn of_text(label: &str, text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..Self::of_file(label, &format!("local/{label}.nomad.hcl")) }
    }

    /// Of a file that something else brings there.
    pub(crate) fn of_file(label: &str, path: &str) -> Self {
        Self {
            label: label.to_owned(),
            jobspec: path.to_owned(),
            text: None,
            job: None,
            inside: String::new(),
            hooks: Vec::new(),
        }
    }

    /// The job that it submits is this one.
    pub(crate) fn registering(mut self, id: &str, namespace: &str) -> Self {
        self.job = Some((id.to_owned(), namespace.to_owned()));
        self
    }

    /// Another label than the job's ID.
    pub(crate) fn named(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// After these.
    pub(crate) fn after(self, labels: &[&str]) -> Self {
        let labels: Vec<String> = labels.iter().map(|label| format!("{label:?}")).collect();
        self.with(&format!("depends_on = [{}]", labels.join(", ")))
    }

    /// More inside of the block.
    pub(crate) fn with(mut self, hcl: &str) -> Self {
        self.inside.push_str(hcl);
        self.inside.push('\n');
        self
    }

    /// A hook before it.
    pub(crate) fn pre(mut self, hook: Hook) -> Self {
        self.hooks.push(("pre", hook));
        self
    }

    /// A hook before it is stopped.
    pub(crate) fn pre_stop(mut self, hook: Hook) -> Self {
        self.hooks.push(("pre_stop", hook));
        self
    }

    /// A hook when it is stopped and gone.
    pub(crate) fn post_stop(mut self, hook: Hook) -> Self {
        self.hooks.push(("post_stop", hook));
        self
    }

    /// A hook after it.
    pub(crate) fn post(mut self, hook: Hook) -> Self {
        self.hooks.push(("post", hook));
        self
    }
}

impl Hook {
    /// Of a batch job. All that it ran as stays, for the oracle to read.
    pub(crate) fn of(job: &Job) -> Self {
        Self::of_text(&job.id, &job.hcl())
    }

    /// Of a jobspec's text.
    pub(crate) fn of_text(label: &str, text: &str) -> Self {
        let inside = format!("jobspec = \"local/{label}.nomad.hcl\"\n");
        Self { label: label.to_owned(), text: Some(text.to_owned()), inside, retain: "all" }
    }

    /// Dispatches a job that is registered.
    pub(crate) fn dispatch(label: &str, job: &str) -> Self {
        let inside = format!("dispatch = \"{job}\"\n");
        Self { label: label.to_owned(), text: None, inside, retain: "all" }
    }

    /// More inside of the block.
    pub(crate) fn with(mut self, hcl: &str) -> Self {
        self.inside.push_str(hcl);
        self.inside.push('\n');
        self
    }

    /// Which of its jobs stay; the oracle reads less where some go.
    pub(crate) fn retain(mut self, which: &'static str) -> Self {
        self.retain = which;
        self
    }
}
