//! Jobspecs for stories, as text, the way a user writes them.

use super::Flag;

/// A job with one group `g`, whose one main task is called `main` and whose gate is called `gate`.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Its ID.
    pub(crate) id: String,
    /// Where it lives.
    pub(crate) namespace: String,
    kind: &'static str,
    count: usize,
    script: String,
    gate: String,
    check: Option<String>,
    /// What its service is called, if not as the job, and its tags.
    service: Option<(String, String)>,
    meta: String,
    required: Option<String>,
    has_payload: bool,
    group: String,
    group_name: &'static str,
    memory: u32,
    update: String,
    kill_timeout: &'static str,
    restarts: u32,
}

/// A gate as it should be: a prestart task that is no sidecar.
const PRESTART: &str = "lifecycle {\n        hook = \"prestart\"\n      }";
/// How a gate gets the rights of its job.
const IDENTITY: &str = "identity {\n        file = true\n      }";

impl Job {
    fn new(id: &str, kind: &'static str, script: &str) -> Self {
        let update = match kind {
            "service" | "system" => {
                "update {\n      min_healthy_time  = \"300ms\"\n      healthy_deadline  = \"9m\"\n      progress_deadline = \"10m\"\n    }"
            }
            _ => "",
        };
        Self {
            id: id.to_owned(),
            namespace: "default".to_owned(),
            kind,
            count: 1,
            script: script.to_owned(),
            gate: String::new(),
            check: None,
            service: None,
            meta: String::new(),
            required: None,
            has_payload: false,
            group: String::new(),
            group_name: "g",
            memory: 10,
            update: update.to_owned(),
            kill_timeout: "1s",
            restarts: 0,
        }
    }

    /// Runs until it is stopped.
    pub(crate) fn service(id: &str) -> Self {
        Self::new(id, "service", "exec sleep 100000")
    }

    /// The same on every client.
    pub(crate) fn system(id: &str) -> Self {
        Self::new(id, "system", "exec sleep 100000")
    }

    /// Ends at once, well.
    pub(crate) fn batch(id: &str) -> Self {
        Self::new(id, "batch", "exit 0")
    }

    /// The same on every client.
    pub(crate) fn sysbatch(id: &str) -> Self {
        Self::new(id, "sysbatch", "exit 0")
    }

    /// What the main task does.
    pub(crate) fn script(mut self, script: &str) -> Self {
        script.clone_into(&mut self.script);
        self
    }

    /// The main task does it only when the flag is there.
    pub(crate) fn script_after(mut self, flag: &Flag, then: &str) -> Self {
        self.script = format!("until [ -e {} ]; do sleep 0.05; done; {then}", flag.0.display());
        self
    }

    /// The group is held back by a gate with this inside of `config {}`.
    pub(crate) fn gate(self, config: &str) -> Self {
        self.gate_with(&format!("{PRESTART}\n\n      {IDENTITY}"), config)
    }

    /// A gate without an identity.
    pub(crate) fn gate_without_identity(self, config: &str) -> Self {
        self.gate_with(PRESTART, config)
    }

    /// A gate in a place of its own choice.
    pub(crate) fn gate_with(mut self, place: &str, config: &str) -> Self {
        self.gate = format!(
            r#"task "gate" {{
      driver = "dtree"

      {place}

      config {{
        {config}
      }}

      resources {{
        cpu    = 10
        memory = 10
      }}
    }}"#
        );
        self
    }

    /// So many allocations.
    pub(crate) fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// Healthy only while HTTP on this port answers 200.
    pub(crate) fn check(mut self, port: u16) -> Self {
        self.check = Some(format!("static = {port}"));
        self
    }

    /// Healthy only while HTTP answers 200 on the port that Nomad gives each allocation.
    pub(crate) fn check_each(mut self) -> Self {
        self.check = Some(String::new());
        self
    }

    /// How long an allocation must be well.
    pub(crate) fn min_healthy(mut self, time: &str) -> Self {
        self.update = self.update.replace("\"300ms\"", &format!("\"{time}\""));
        self
    }

    /// The same, and its service is called so and has these tags.
    pub(crate) fn service_named(mut self, name: &str, tags: &[&str], port: u16) -> Self {
        self.service = Some((name.to_owned(), format!("tags = {tags:?}")));
        self.check(port)
    }

    /// This block of meta.
    pub(crate) fn meta_line(mut self, block: &str) -> Self {
        block.clone_into(&mut self.meta);
        self
    }

    /// Another value is another version of the job.
    pub(crate) fn meta(mut self, value: &str) -> Self {
        self.meta = format!("meta {{\n    release = \"{value}\"\n  }}");
        self
    }

    /// It runs only when it is dispatched, with this in its meta.
    pub(crate) fn parameterized(mut self, required: &str) -> Self {
        self.required = Some(required.to_owned());
        self
    }

    /// It is dispatched with a payload, too, which is in the file `payload`.
    pub(crate) fn payload(mut self) -> Self {
        self.has_payload = true;
        self
    }

    /// More inside of the group.
    pub(crate) fn group(mut self, hcl: &str) -> Self {
        hcl.clone_into(&mut self.group);
        self
    }

    /// The group is called so.
    pub(crate) fn group_name(mut self, name: &'static str) -> Self {
        self.group_name = name;
        self
    }

    /// Each allocation waits for the flag with its index before its main task starts.
    pub(crate) fn held_back_by(self, flag: &Flag) -> Self {
        self.group(&Self::held_back(flag))
    }

    /// The prestart task by which it does.
    pub(crate) fn held_back(flag: &Flag) -> String {
        let path = flag.0.display();
        format!(
            r#"task "slow" {{
      driver = "raw_exec"

      lifecycle {{
        hook = "prestart"
      }}

      config {{
        command = "/bin/sh"
        args    = ["-c", "until [ -e {path}.$NOMAD_ALLOC_INDEX ]; do sleep 0.05; done"]
      }}

      resources {{
        cpu    = 10
        memory = 10
      }}
    }}"#
        )
    }

    /// How long the main task may take to end when it is told to.
    pub(crate) fn kill_timeout(mut self, limit: &'static str) -> Self {
        self.kill_timeout = limit;
        self
    }

    /// Nomad starts its tasks again so often.
    pub(crate) fn restarts(mut self, attempts: u32) -> Self {
        self.restarts = attempts;
        self
    }

    /// In another namespace.
    pub(crate) fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Needs more than any client has.
    pub(crate) fn too_big(mut self) -> Self {
        self.memory = 100_000_000;
        self
    }

    /// Without an `update` block, and so with Nomad's short deadlines.
    pub(crate) fn default_update(mut self) -> Self {
        self.update.clear();
        self
    }

    /// As a jobspec.
    pub(crate) fn hcl(&self) -> String {
        let Self {
            id,
            namespace,
            kind,
            count,
            script,
            gate,
            meta,
            group,
            group_name,
            memory,
            update,
            kill_timeout,
            restarts,
            ..
        } = self;
        let (payload, dispatch_payload) = if self.has_payload {
            ("payload = \"required\"", "dispatch_payload {\n        file = \"payload\"\n      }")
        } else {
            ("", "")
        };
        let parameterized = self.required.as_ref().map_or_else(String::new, |required| {
            format!("parameterized {{\n    meta_required = [\"{required}\"]\n    {payload}\n  }}")
        });
        // Nomad refuses these where it cannot follow them.
        let everywhere = matches!(*kind, "system" | "sysbatch");
        let count = if everywhere { String::new() } else { format!("count = {count}") };
        let reschedule =
            if everywhere { "" } else { "reschedule {\n      attempts  = 0\n      unlimited = false\n    }" };
        let (name, tags) =
            self.service.as_ref().map_or((id.as_str(), ""), |(name, tags)| (name.as_str(), tags.as_str()));
        let service = match &self.check {
            Some(port) => format!(
                r#"network {{
      port "http" {{
        {port}
      }}
    }}

    service {{
      name     = "{name}"
      {tags}
      port     = "http"
      provider = "nomad"

      {}
    }}"#,
                http_check("1s", "")
            ),
            None => String::new(),
        };
        format!(
            r#"job "{id}" {{
  namespace = "{namespace}"
  type      = "{kind}"
  {meta}
  {parameterized}

  group "{group_name}" {{
    {count}

    {update}

    restart {{
      attempts = {restarts}
      delay    = "1s"
      mode     = "fail"
    }}

    {reschedule}
    {service}
    {group}
    {gate}

    task "main" {{
      driver       = "raw_exec"
      kill_timeout = "{kill_timeout}"
      {dispatch_payload}

      config {{
        command = "/bin/sh"
        args    = ["-c", "{script}"]
      }}

      resources {{
        cpu    = 10
        memory = {memory}
      }}
    }}
  }}
}}
"#
        )
    }
}

/// A check that runs so often, and passes while HTTP answers 200 on its service's port; `more` is what else its block has.
pub(crate) fn http_check(interval: &str, more: &str) -> String {
    format!(
        r#"check {{
        type     = "http"
        path     = "/"
        interval = "{interval}"
        timeout  = "1s"
        {more}
      }}"#
    )
}
