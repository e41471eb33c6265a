//! Approvals of a tree that is carried out from here: given in advance, or asked for beside the tree's record, where
//! `dtree approve` gives them.

use std::{collections::BTreeSet, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use super::{
    Failure,
    chosen::Chosen,
    connect::{Connection, refused},
};
use crate::{
    cluster::{AllocId, Namespace, TreeName, nearest},
    engine::Line,
    manifest::Subject,
    nomad::{Asker, Client},
    record,
    runner::Running,
};

/// How often it is looked whether something was given.
const LOOK: Duration = Duration::from_secs(1);
/// How often the last word is tried when somebody writes at the same moment.
const LAST_TRIES: u32 = 5;

/// Whoever asks for approvals.
pub(super) struct Approvals {
    client: Client,
    namespace: Namespace,
    tree: TreeName,
    holder: AllocId,
    /// What was approved in advance.
    in_advance: BTreeSet<String>,
}

impl Approvals {
    /// Those of `chosen`, of which `in_advance` are given already; `None` where nothing waits for any.
    ///
    /// # Errors
    ///
    /// When one of these is no wait for an approval.
    pub(super) fn of(
        chosen: &Chosen,
        connection: &Connection,
        in_advance: &[String],
    ) -> Result<Option<Self>, Failure> {
        let waits = chosen.plan.manifest().waits.iter();
        let waits = waits.filter(|(_, wait)| matches!(wait.subject, Subject::Approval { .. }));
        let known: Vec<&str> = waits.map(|(name, _)| name.as_str()).collect();
        if let Some(name) = in_advance.iter().find(|name| !known.contains(&name.as_str())) {
            let help = match (nearest(name, known.iter().copied()), known.as_slice()) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, []) => "nothing of it waits for an approval".to_owned(),
                (None, known) => format!("its waits for an approval: {}", known.join(", ")),
            };
            return Err(Failure::cannot(format!(
                "dtree: --approve {name}: the tree has no such wait for an approval\n\nhint: {help}\n"
            )));
        }
        if known.is_empty() {
            return Ok(None);
        }
        let client = connection.way()?.client(Asker::User).map_err(|error| refused(&error))?;
        Ok(Some(Self {
            client,
            namespace: chosen.place.job.namespace.clone(),
            tree: chosen.name.clone(),
            holder: chosen.place.alloc.clone(),
            in_advance: in_advance.iter().cloned().collect(),
        }))
    }

    /// Gives them to `running` until that has ended; what a user has to know goes to `tell`.
    pub(super) async fn serve(self, running: Running, tell: mpsc::UnboundedSender<Line>) {
        let mut taken: Vec<String> = Vec::new();
        let (mut has_asked, mut is_refused, mut n_last) = (false, false, 0);
        loop {
            let is_over = running.ending().is_some();
            for name in running.approvals().iter().filter(|name| self.in_advance.contains(*name)) {
                // A run that ends meanwhile needs none.
                running.approve(name, None).await.ok();
            }
            let open = if is_over { Vec::new() } else { running.approvals() };
            let asks = !is_refused && (has_asked || !open.is_empty());
            let run = if asks { running.status().run } else { None };
            let mut is_settled = true;
            if let Some(run) = run {
                let asker = (&run, &self.holder);
                match record::ask(&self.client, &self.namespace, &self.tree, asker, &open, &taken).await {
                    Ok(given) => {
                        has_asked = true;
                        for (name, by) in given {
                            is_settled = false;
                            if running.approve(&name, by).await.is_ok() {
                                taken.push(name);
                            }
                        }
                    }
                    Err(error) if error.is_denied() => {
                        is_refused = true;
                        let said = "nobody can approve from another shell, because this token may not write Nomad's \
                                    Variables; `--approve WAIT` gives an approval in advance";
                        // The process may be ending.
                        tell.send(said.to_owned().into()).ok();
                    }
                    // It is asked again.
                    Err(error) => is_settled = !(error.is_conflict() && is_over),
                }
            }
            n_last += u32::from(is_over);
            if is_over && (is_settled || n_last >= LAST_TRIES) {
                return;
            }
            if is_settled {
                tokio::select! {
                    _ = running.ended() => {}
                    () = sleep(LOOK) => {}
                }
            }
        }
    }
}
