//! The blocks and attributes of a manifest as data: the one list that Nomad's schema, the reader and the
//! documentation's tables follow.

/// What may stand between braces.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// What is given with `=`.
    pub attributes: &'static [Attribute],
    /// What is given with braces.
    pub blocks: &'static [Block],
}

/// A kind of block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The word before the label.
    pub name: &'static str,
    /// What the label is, as Nomad's messages call it: such a block may stand any number of times, with another label
    /// each. `None` for a block that has none and may stand once.
    pub label: Option<&'static str>,
    /// What it is for, in the words of the documentation.
    pub meaning: &'static str,
    /// What may stand inside.
    pub body: Body,
}

/// An attribute of a block.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it means, in the words of the documentation.
    pub meaning: &'static str,
}

/// What an attribute takes. Durations and percentages are text: Nomad's schema language has no type for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// A number, or the text of one.
    Number,
    /// A list of strings.
    TextList,
    /// Strings by name, as `name = { … }` or as `name { … }`.
    TextMap,
}

const fn attribute(name: &'static str, kind: Kind, meaning: &'static str) -> Attribute {
    Attribute { name, kind, meaning }
}

const fn text(name: &'static str, meaning: &'static str) -> Attribute {
    attribute(name, Kind::Text, meaning)
}

/// The body of `config {}`.
pub const MANIFEST: Body = Body {
    attributes: &[
        text("verb", "run or stop: whether the jobs are brought up or stopped"),
        text("on_failure", "finish, continue or cancel: what happens to the rest when a node fails"),
        attribute(
            "max_parallel",
            Kind::Number,
            "how many nodes are worked on at the same time; 10 if absent",
        ),
        text("timeout", "how long the whole run may take; as long as its nodes if absent"),
        attribute("context", Kind::TextMap, "values for $(context.key)"),
    ],
    blocks: &[
        Block { name: "wait", label: Some("name"), meaning: "something that must be so", body: WAIT },
        Block {
            name: "job",
            label: Some("name"),
            meaning: "a job that must be there and be ready",
            body: JOB,
        },
        Block { name: "stop", label: None, meaning: "what is stopped where the verb is stop", body: STOP },
        Block {
            name: "hook",
            label: Some("name"),
            meaning: "a batch job that runs when what it depends on is satisfied",
            body: HOOK,
        },
        Block {
            name: "after_success",
            label: Some("name"),
            meaning: "a batch job that runs when all has ended well and anything was changed",
            body: HOOK,
        },
        Block {
            name: "after_failure",
            label: Some("name"),
            meaning: "a batch job that runs when anything has failed",
            body: HOOK,
        },
        Block {
            name: "webhook",
            label: Some("name"),
            meaning: "an address that is told how the run ended",
            body: WEBHOOK,
        },
    ],
};

const WEBHOOK: Body = Body {
    attributes: &[
        text("url", "where JSON is posted: http(s)://HOST[:PORT]/PATH; required"),
        attribute("headers", Kind::TextMap, "more headers of the request"),
        attribute("on", Kind::TextList, "success, failure; both if absent"),
        text("timeout", "how long one of five tries may take; 10s if absent"),
    ],
    blocks: &[],
};

const WAIT: Body = Body {
    attributes: &[
        text("job", "the job to wait for; the label if absent"),
        text("namespace", "where the job, the service or the variable is; the task's own if absent"),
        text("group", "only this group of the job"),
        attribute("meta", Kind::TextMap, "only a version of the job that carries all of these counts"),
        text("scope", "cluster or client: only the job's allocations on the own client count"),
        text("source", "live or nomad: whose word on the job's health counts"),
        text("task", "a task of the own allocation instead of a job"),
        text("service", "a service, of which enough instances must pass their checks"),
        text("provider", "nomad or consul: where the service is registered"),
        attribute("tags", Kind::TextList, "what an instance of the service must have to count"),
        text("tcp", "HOST:PORT that must accept connections"),
        text("http", "http(s)://HOST[:PORT]/PATH that must answer"),
        attribute("status", Kind::Number, "the status that it must answer with; any 2xx if absent"),
        text("contains", "what must be in its answer"),
        text("dns", "a name that must resolve"),
        text("interval", "how often tcp, http or dns is asked; 100ms if absent"),
        text("variable", "the path of a variable of Nomad that must be there"),
        text("key", "the item of the variable that must be there"),
        text("consul_key", "a key of Consul's store that must be there"),
        text("equals", "what the item, or the value of the key, must be"),
        text("approval", "what a user must approve"),
        text("when", "an expression over the names of other waits: db && (redis || cache)"),
        text("until", "running, healthy, complete, failed, finished, stopped or absent"),
        text(
            "at_least",
            "how many allocations of each group: \"2\", or \"50%\"; how many instances of a service",
        ),
        attribute("any_version", Kind::Bool, "count allocations of older versions of the job too"),
        text("stable_for", "how long it must be so without a break"),
        attribute("optional", Kind::Bool, "what does not exist or has failed for good holds nothing back"),
        text("timeout", "how long to wait; 5m if absent"),
        text("on_timeout", "fail or continue"),
        text("on_blocked", "wait or fail, while Nomad finds no room for the job"),
        attribute("depends_on", Kind::TextList, "other waits that must hold before this one is looked at"),
        text(
            "on_loss",
            "report, signal, restart or hold: makes the task a guard, which does this when the wait is lost",
        ),
        text("grace", "of a guard: how long the loss must last; 10s if absent"),
        text("signal", "of a guard: the signal that is sent; SIGHUP if absent"),
        attribute(
            "tasks",
            Kind::TextList,
            "of a guard: the tasks that are signalled; all main tasks if absent",
        ),
        attribute("max_actions", Kind::Number, "of a guard: how often it acts in each period; 3 if absent"),
        text("period", "of a guard: see max_actions; 10m if absent"),
    ],
    blocks: &[],
};

const JOB: Body = Body {
    attributes: &[
        text("jobspec", "the path of its jobspec in the task's directory; required"),
        attribute("vars", Kind::TextMap, "values for the jobspec's variables"),
        text("namespace", "where it is registered; what the jobspec says if absent, else the task's own"),
        attribute(
            "depends_on",
            Kind::TextList,
            "the jobs and waits that must be satisfied before it is submitted",
        ),
        text("exclusive", "jobs with the same word are never updated at the same time"),
        attribute("adopt", Kind::Bool, "take over a job that no tree has submitted"),
        attribute("outputs", Kind::TextMap, "what other blocks can take from it, as $(name.output)"),
    ],
    blocks: &[
        Block { name: "ready", label: None, meaning: "when it counts as ready", body: READY },
        Block {
            name: "pre",
            label: Some("name"),
            meaning: "a batch job that runs before it is created or changed",
            body: HOOK,
        },
        Block {
            name: "post",
            label: Some("name"),
            meaning: "a batch job that runs when it, created or changed, is ready",
            body: HOOK,
        },
        Block {
            name: "pre_stop",
            label: Some("name"),
            meaning: "a batch job that runs before it is stopped",
            body: HOOK,
        },
        Block {
            name: "post_stop",
            label: Some("name"),
            meaning: "a batch job that runs when it is stopped and nothing of it runs any more",
            body: HOOK,
        },
    ],
};

const READY: Body = Body {
    attributes: &[
        text("until", "running, healthy, complete or finished"),
        text("at_least", "how many allocations of each group: \"2\", or \"50%\""),
        text("group", "only this group of the job"),
        text("stable_for", "for how long it must be so without a break; 0s if absent"),
        text("timeout", "how long it may take; the job's progress deadline and half a minute if absent"),
        text("on_blocked", "wait or fail, while Nomad finds no room for the job"),
    ],
    blocks: &[],
};

const STOP: Body = Body {
    attributes: &[
        attribute("purge", Kind::Bool, "have Nomad forget the stopped jobs"),
        attribute("exclude", Kind::TextList, "jobs that are left as they are"),
        text("target", "only this job is stopped; all of them if absent"),
        attribute(
            "with_dependencies",
            Kind::Bool,
            "stop what the target depends on, too, as far as nothing else needs it",
        ),
        text("timeout", "how long a stopped job may take until nothing of it runs any more; 5m if absent"),
    ],
    blocks: &[],
};

const HOOK: Body = Body {
    attributes: &[
        text("jobspec", "the path of a batch jobspec in the task's directory; this or dispatch"),
        text("dispatch", "the ID of a parameterized job that is registered; this or jobspec"),
        attribute("vars", Kind::TextMap, "values for the jobspec's variables"),
        attribute("meta", Kind::TextMap, "values for the meta of the job that runs"),
        text("payload", "what is dispatched with the job"),
        text("namespace", "where it runs; what the jobspec says if absent, else the task's own"),
        attribute(
            "depends_on",
            Kind::TextList,
            "what must be satisfied before: hooks of the same job and moment, for a hook block any nodes",
        ),
        text("timeout", "how long one attempt may take; 10m if absent"),
        attribute("retries", Kind::Number, "how many attempts may follow the first; 0 if absent"),
        text("on_failure", "fail or continue"),
        text("retain", "failed, all or none: which of its finished jobs stay registered"),
        text("once", "of a hook block: a key for which it runs at most once; each time if absent"),
        attribute(
            "outputs",
            Kind::TextMap,
            "of a hook block or a post hook: what other blocks can take from it, as $(name.output)",
        ),
    ],
    blocks: &[],
};
