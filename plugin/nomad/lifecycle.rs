//! What dtree does to the allocation that it is a task of.

use hyper::Method;

use super::{
    Capability, Client, Error,
    client::said,
    query::{encode, within},
    wire,
};
use crate::cluster::{AllocId, Namespace};

/// What Nomad says of a task that is not there, to those who might signal it, with status 500.
const NO_SUCH_TASK: &str = "Task not found";
/// A task that nobody has: to signal it needs the right to, and does nothing.
const NOBODYS: &str = "dtree-may-i-signal";

fn path(alloc: &AllocId, namespace: &Namespace, what: &str) -> String {
    within(&format!("/v1/client/allocation/{}/{what}", encode(alloc.as_str())), namespace)
}

impl Client {
    /// Sends `signal` to `task` of an allocation.
    pub async fn signal_task(
        &self,
        alloc: &AllocId,
        namespace: &Namespace,
        task: &str,
        signal: &str,
    ) -> Result<(), Error> {
        let wanted = format!("send {signal} to task `{task}` of allocation {}", alloc.short());
        let body = wire::Signal { task, signal };
        let target = path(alloc, namespace, "signal");
        let answer = self.send(Method::POST, &target, Some(&body), &wanted).await?;
        self.allowed(answer, &wanted, namespace, Capability::AllocLifecycle)?;
        Ok(())
    }

    /// Restarts the tasks of an allocation that run; with `all` also those that have ended, and so its gates. No
    /// attempt of the groups' `restart` blocks is spent.
    pub async fn restart_allocation(
        &self,
        alloc: &AllocId,
        namespace: &Namespace,
        all: bool,
    ) -> Result<(), Error> {
        let wanted = format!("restart allocation {}", alloc.short());
        let target = path(alloc, namespace, "restart");
        let body = wire::Restart { all_tasks: all };
        let answer = self.send(Method::PUT, &target, Some(&body), &wanted).await?;
        self.allowed(answer, &wanted, namespace, Capability::AllocLifecycle)?;
        Ok(())
    }

    /// Whether Nomad lets this token restart and signal an allocation, which is there. Does neither: it asks to signal a
    /// task that is not there.
    ///
    /// # Errors
    ///
    /// [`Error::is_denied`] tells a denial from not having reached Nomad.
    pub async fn prove_lifecycle(&self, alloc: &AllocId, namespace: &Namespace) -> Result<(), Error> {
        let wanted = format!("restart or signal allocation {}", alloc.short());
        let body = wire::Signal { task: NOBODYS, signal: "SIGHUP" };
        let target = path(alloc, namespace, "signal");
        let answer = self.send(Method::POST, &target, Some(&body), &wanted).await?;
        let is_refusal = !answer.head.status().is_success();
        if is_refusal && said(&answer.body).ends_with(NO_SUCH_TASK) {
            return Ok(());
        }
        self.allowed(answer, &wanted, namespace, Capability::AllocLifecycle)?;
        Ok(())
    }
}
