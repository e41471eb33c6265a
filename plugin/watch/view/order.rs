//! What a view is told.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    cluster::JobId,
    watch::{
        Viewer,
        mailbox::{Mailbox, Pass},
        subscription::MemberId,
    },
};

/// What the hub tells a view.
#[derive(Debug)]
pub(in crate::watch) enum ViewOrder {
    /// Someone wants to see some jobs, and may.
    Join {
        /// Who.
        member: MemberId,
        /// His way to Nomad.
        viewer: Arc<Viewer>,
        /// Where he wants to see them.
        mailbox: Arc<Mailbox>,
        /// His right to see them.
        pass: Pass,
        /// Which.
        jobs: BTreeSet<JobId>,
        /// Those of them whose checks are asked.
        asked: BTreeSet<JobId>,
    },
    /// A member wants to see more jobs, and may.
    Also {
        /// Who.
        member: MemberId,
        /// Which; none that he sees already.
        jobs: BTreeSet<JobId>,
        /// Those whose checks are asked from now on.
        asked: BTreeSet<JobId>,
    },
    /// He has gone, or may not see any more.
    Leave(MemberId),
    /// Read everything again now.
    LookAgain,
}
