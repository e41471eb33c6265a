//! Generated trees, and what becomes of each of their jobs.

use super::*;

/// What becomes of a job that the tree submits, seconds after it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    Good(u64),
    /// Good, lost for a while, and good again.
    Flaky(u64),
    Bad(u64),
    /// Nothing, for ever.
    Hung,
}

#[derive(Clone, Debug)]
pub(super) struct HookCase {
    pub(super) retries: u32,
    pub(super) is_optional: bool,
    pub(super) is_dispatch: bool,
    pub(super) retain: &'static str,
    /// One for each attempt; the last counts for all later ones.
    pub(super) becomes: Vec<Becomes>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a case of its own")]
#[derive(Clone, Debug)]
pub(super) struct NodeCase {
    /// Bit i: it needs node i, if that is an earlier one.
    pub(super) needs: u8,
    pub(super) is_wait: bool,
    pub(super) is_exclusive: bool,
    /// Someone else's job is in its place.
    pub(super) is_foreign: bool,
    /// Its jobspec is another than in the run before, if there was one.
    pub(super) is_changed: bool,
    /// It takes something from each job that it needs, and so do its hooks.
    pub(super) is_taker: bool,
    pub(super) stable_for: u64,
    pub(super) becomes: Becomes,
    pub(super) pre: Vec<HookCase>,
    pub(super) post: Vec<HookCase>,
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) nodes: Vec<NodeCase>,
    pub(super) policy: &'static str,
    pub(super) max_parallel: u32,
    /// The whole run's time limit, in minutes.
    pub(super) timeout: Option<u64>,
    /// Whether the tree is up already, from a run before.
    pub(super) is_up: bool,
    /// Whether others scale, stop, purge and change the tree's jobs meanwhile.
    pub(super) has_strangers: bool,
    /// After how many choices Nomad stops the task, and whether because its job was stopped.
    pub(super) stop: Option<(u8, bool)>,
    pub(super) tape: Vec<u8>,
    /// After how many actions, from the one before, the process ends, and whether its memory is lost with it.
    pub(super) crashes: Vec<(u8, bool)>,
    /// Whether one act of a process that has ended, or whose answer was lost, is still under way, and after how many
    /// moves it lands; many of them are more than the run has.
    pub(super) lands_after: Option<u8>,
}

fn becomes() -> impl Strategy<Value = Becomes> {
    prop_oneof![
        8 => (0..60_u64).prop_map(Becomes::Good),
        1 => (1..60_u64).prop_map(Becomes::Flaky),
        2 => (0..60_u64).prop_map(Becomes::Bad),
        1 => Just(Becomes::Hung),
    ]
}

fn hook() -> impl Strategy<Value = HookCase> {
    let retain = prop_oneof![Just("failed"), Just("all"), Just("none")];
    let fates = proptest::collection::vec(becomes(), 1..4);
    (0..3_u32, any::<bool>(), any::<bool>(), retain, fates).prop_map(
        |(retries, is_optional, is_dispatch, retain, becomes)| {
            // A batch job that has ended has ended.
            let becomes = becomes.into_iter().map(|becomes| match becomes {
                Becomes::Flaky(at) => Becomes::Good(at),
                other => other,
            });
            HookCase { retries, is_optional, is_dispatch, retain, becomes: becomes.collect() }
        },
    )
}

fn node() -> impl Strategy<Value = NodeCase> {
    let flags = (
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.05),
        any::<bool>(),
        any::<bool>(),
    );
    let hooks = || proptest::collection::vec(hook(), 0..3);
    (any::<u8>(), any::<u8>(), flags, prop_oneof![3 => Just(0), 1 => 1..20_u64], becomes(), hooks(), hooks())
        .prop_map(|(one, other, flags, stable_for, becomes, pre, post)| {
            let (is_wait, is_exclusive, is_foreign, is_changed, is_taker) = flags;
            let (pre, post) = if is_wait { (Vec::new(), Vec::new()) } else { (pre, post) };
            NodeCase {
                needs: one & other,
                is_wait,
                is_exclusive,
                is_foreign: is_foreign && !is_wait,
                is_changed,
                is_taker,
                stable_for,
                becomes,
                pre,
                post,
            }
        })
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    (
        proptest::collection::vec(node(), 1..8),
        prop_oneof![Just("finish"), Just("continue"), Just("cancel")],
        1..5_u32,
        prop_oneof![6 => Just(None), 1 => (1..90_u64).prop_map(Some)],
        (
            proptest::bool::weighted(0.25),
            proptest::bool::weighted(0.15),
            prop_oneof![7 => Just(None), 1 => (0..60_u8, any::<bool>()).prop_map(Some)],
        ),
        prop_oneof![1 => Just(Vec::new()), 4 => proptest::collection::vec(any::<u8>(), 0..120)],
        (
            proptest::collection::vec((0..40_u8, proptest::bool::weighted(0.25)), 0..5),
            prop_oneof![1 => Just(None), 2 => any::<u8>().prop_map(Some)],
        ),
    )
        .prop_map(
            |(nodes, policy, max_parallel, timeout, (is_up, has_strangers, stop), tape, ending)| Case {
                // Nobody remembers that it is on its way when the memory is lost.
                lands_after: ending.1.filter(|_| {
                    !has_strangers && stop.is_none() && ending.0.iter().all(|(_, is_lost)| !is_lost)
                }),
                crashes: ending.0,
                nodes,
                policy,
                max_parallel,
                timeout,
                is_up,
                has_strangers,
                stop,
                tape,
            },
        )
}

impl Case {
    pub(super) fn name(&self, node: usize) -> String {
        format!("{}{node}", if self.nodes[node].is_wait { "w" } else { "n" })
    }

    pub(super) fn config(&self) -> Value {
        let (mut jobs, mut waits) = (serde_json::Map::new(), serde_json::Map::new());
        for (i, node) in self.nodes.iter().enumerate() {
            let needs = (0..i).filter(|needed| node.needs & 1 << needed != 0);
            let (takes, needs): (Vec<_>, Vec<_>) =
                needs.partition(|needed| node.is_taker && !node.is_wait && !self.nodes[*needed].is_wait);
            let depends_on: Vec<String> = needs.into_iter().map(|needed| self.name(needed)).collect();
            let takes: Vec<String> = takes
                .into_iter()
                .map(|needed| self.name(needed))
                .map(|name| format!("$({name}.id) $({name}.out)"))
                .collect();
            if node.is_wait {
                let block = json!({"job": format!("out{i}"), "depends_on": depends_on, "timeout": "1h"});
                waits.insert(self.name(i), block);
                continue;
            }
            let hooks = |moment: &str, hooks: &[HookCase]| {
                let mut blocks = serde_json::Map::new();
                for (h, hook) in hooks.iter().enumerate() {
                    let mut block = json!({
                        "timeout": "1h",
                        "retries": hook.retries,
                        "on_failure": if hook.is_optional { "continue" } else { "fail" },
                        "retain": hook.retain,
                    });
                    let launch = if hook.is_dispatch { "dispatch" } else { "jobspec" };
                    block[launch] = json!(format!("n{i}{moment}{h}"));
                    block["meta"] = json!({"takes": takes.join(" ")});
                    blocks.insert(format!("n{i}{moment}{h}"), block);
                }
                blocks
            };
            let mut block = json!({
                "jobspec": "local/x.nomad.hcl",
                "vars": {"takes": takes.join(" ")},
                "outputs": {"out": "variable:x#y"},
                "depends_on": depends_on,
                "ready": {"timeout": "1h", "stable_for": format!("{}s", node.stable_for)},
                "pre": hooks("pre", &node.pre),
                "post": hooks("post", &node.post),
            });
            if node.is_exclusive {
                block["exclusive"] = json!("one");
            }
            jobs.insert(self.name(i), block);
        }
        if jobs.is_empty() {
            jobs.insert("lone".to_owned(), json!({"jobspec": "local/x.nomad.hcl"}));
        }
        let mut config = json!({
            "job": jobs, "on_failure": self.policy, "max_parallel": self.max_parallel,
        });
        if !waits.is_empty() {
            config["wait"] = Value::Object(waits);
        }
        if let Some(minutes) = self.timeout {
            config["timeout"] = json!(format!("{minutes}m"));
        }
        config
    }

    /// The hook of this name.
    pub(super) fn hook(&self, name: &str) -> &HookCase {
        let (node, rest) = name[1..].split_at(1);
        let node = &self.nodes[node.parse::<usize>().unwrap()];
        match rest.strip_prefix("pre") {
            Some(number) => &node.pre[number.parse::<usize>().unwrap()],
            None => &node.post[rest.strip_prefix("post").unwrap().parse::<usize>().unwrap()],
        }
    }

    pub(super) fn node(&self, name: &str) -> Option<&NodeCase> {
        self.nodes.get(name[1..].parse::<usize>().ok()?)
    }

    /// Whether anything in it fails.
    pub(super) fn is_all_good(&self) -> bool {
        let good = |becomes: &Becomes| matches!(becomes, Becomes::Good(_) | Becomes::Flaky(_));
        self.timeout.is_none()
            && self.nodes.iter().all(|node| {
                good(&node.becomes)
                    && !node.is_foreign
                    && node.pre.iter().chain(&node.post).all(|hook| hook.becomes.iter().all(good))
            })
    }
}
