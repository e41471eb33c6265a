//! `dtree why`: what holds a task, a tree or a job up, by what Nomad shows now.

use std::fmt::Write as _;

use super::{
    Failure, Outcome,
    connect::{Connection, block_on, refused},
    look::{is_visible, look},
    print,
    sight::{Sight, manifest},
};
use crate::{
    cluster::{JobKey, Namespace},
    engine::Status,
    manifest::{Manifest, Subject, Wait},
    nomad::{Client, Placed},
    show,
};

/// The shortest beginning of an allocation's ID that is taken for one.
const SHORTEST: usize = 4;
/// How many of a task's last events are told.
const EVENTS: usize = 3;

/// What is asked about.
#[derive(clap::Args)]
pub(super) struct Options {
    /// An allocation (the first letters of its ID), a tree, or a job
    subject: String,
    #[command(flatten)]
    connection: Connection,
}

/// Tells why it is not as it should be.
pub(super) fn run(options: &Options) -> Outcome {
    let Options { subject, connection } = options;
    let namespace = connection.namespace()?.unwrap_or_else(|| "default".into());
    block_on(async {
        let client = connection.client().await?;
        let placed = allocations(&client, subject).await?;
        let text = match placed.as_slice() {
            [one] => of_allocation(&client, one, connection).await?,
            [] => match Sight::of(&client, &namespace, subject).await? {
                Some(sight) => of_tree(&sight, connection).await?,
                None => of_job(&client, &namespace, subject, connection).await?,
            },
            several => {
                let ids: Vec<String> = several.iter().map(|placed| placed.alloc.to_string()).collect();
                return Err(Failure::cannot(format!(
                    "dtree: the IDs of several allocations begin with {subject}: {}\n",
                    ids.join(", ")
                )));
            }
        };
        print(&text)
    })
}

/// The allocations that `subject` may be the beginning of.
pub(super) async fn allocations(client: &Client, subject: &str) -> Result<Vec<Placed>, Failure> {
    let is_id = subject.len() >= SHORTEST && subject.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    // Nomad takes the beginning of a UUID with an even number of digits.
    let digits = subject.chars().filter(|c| *c != '-').count();
    if !is_id || digits % 2 == 1 && subject.len() < 36 {
        return Ok(Vec::new());
    }
    client.placed(subject).await.map_err(|error| refused(&error))
}

/// What each task of dtree in an allocation waits for.
async fn of_allocation(client: &Client, placed: &Placed, connection: &Connection) -> Result<String, Failure> {
    let found = client.declarations(&placed.key).await.map_err(|error| refused(&error))?;
    let ours = found.unwrap_or_default().into_iter().filter(|declared| declared.group == placed.group);
    let mut text =
        format!("Allocation {} of job {}, group {}\n", placed.alloc.short(), placed.key, placed.group);
    let mut count = 0;
    for declared in ours {
        count += 1;
        let (state, events) = placed.tasks.get(&declared.task).cloned().unwrap_or_default();
        let state = if state.is_empty() { "not begun".to_owned() } else { state };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "\n==> task {}: {state}", declared.task);
        for event in events.iter().skip(events.len().saturating_sub(EVENTS)) {
            let _ = writeln!(text, "    said      {}", event.trim());
        }
        let Some(manifest) = manifest(&declared.config) else {
            text.push_str("    its config cannot be read from here: it has what only the client fills in\n");
            continue;
        };
        if manifest.tree.is_some() {
            let name = placed.key.job.to_string();
            if let Some(sight) = Sight::of(client, &placed.key.namespace, &name).await? {
                text.push_str(&of_tree(&sight, connection).await?);
            }
            continue;
        }
        text.push_str(&of_gate(&manifest, &placed.key.namespace, connection).await?);
    }
    if count == 0 {
        text.push_str("It has no task of dtree. What it is for may be told by `dtree why ");
        let _ = writeln!(text, "{}`.", placed.key.job);
    }
    Ok(text)
}

/// What a gate or a guard looks at, as it is now.
async fn of_gate(manifest: &Manifest, home: &Namespace, connection: &Connection) -> Result<String, Failure> {
    let (seen, hidden): (Vec<_>, Vec<_>) = manifest.waits.iter().partition(|(_, wait)| is_visible(wait));
    let mut text = String::new();
    if !seen.is_empty() {
        let waits = seen.into_iter().map(|(name, wait)| (name.clone(), (**wait).clone())).collect();
        let status = look(waits, home.clone(), connection, None).await?;
        text.push_str(&told(&status));
    }
    for (name, wait) in hidden {
        let what = match &wait.subject {
            Subject::Task { task } => format!("task {task} of its own allocation"),
            Subject::Approval { what } => format!("a user's word: {what}"),
            Subject::When(_) => "an expression over the others".to_owned(),
            _ => "what is on its own client".to_owned(),
        };
        let _ = writeln!(
            text,
            "{name}: {what}: only the task itself can tell (`nomad alloc exec -task TASK ALLOC why`)"
        );
    }
    Ok(text)
}

/// What stands in the way of a tree.
async fn of_tree(sight: &Sight, connection: &Connection) -> Result<String, Failure> {
    let rows = sight.rows(connection).await?;
    let mut text = format!("Tree {}: run {}\n", sight.tree, sight.run());
    let open: Vec<_> = rows.iter().filter(|row| row.state != "satisfied").collect();
    if open.is_empty() {
        text.push_str("Nothing stands in its way.\n");
    }
    for row in open {
        let job = row.job.as_ref().map(|job| format!(" (job {job})")).unwrap_or_default();
        let _ = writeln!(text, "{}{job}: {}: {}", row.name, row.state, row.detail);
        if let Some(help) = &row.help {
            let _ = writeln!(text, "    help      {help}");
        }
    }
    Ok(text)
}

/// Why a job is not ready.
async fn of_job(
    client: &Client,
    namespace: &Namespace,
    name: &str,
    connection: &Connection,
) -> Result<String, Failure> {
    let key = JobKey { namespace: namespace.clone(), job: name.into() };
    let status = look(
        vec![(name.to_owned(), Wait::new(Subject::of_job(&key, None)))],
        namespace.clone(),
        connection,
        None,
    )
    .await?;
    let mut text = told(&status);
    let gates = client.declarations(&key).await.map_err(|error| refused(&error))?.unwrap_or_default();
    for gate in gates {
        let Some(manifest) = manifest(&gate.config).filter(|manifest| manifest.tree.is_none()) else {
            continue;
        };
        let _ = writeln!(text, "\n==> its task {} of group {} waits for others:", gate.task, gate.group);
        text.push_str(&of_gate(&manifest, namespace, connection).await?);
    }
    Ok(text)
}

/// What is seen of each, whether it is as it should be or not.
fn told(status: &Status) -> String {
    let mut text = String::new();
    for node in status.nodes.iter().filter(|node| node.state == "satisfied") {
        let _ = writeln!(text, "{}: satisfied: {}", node.name, node.detail);
    }
    if status.nodes.iter().any(|node| node.state != "satisfied") {
        // How the look ended says nothing of what was looked at, and its time limit is none of the task's.
        let mut open = status.clone();
        open.ending = None;
        for node in &mut open.nodes {
            node.gives_up = None;
        }
        // Since when is not known from here: the look has only just begun.
        let told = show::why(&open);
        let lines = told.lines().filter(|line| !line.starts_with("    since "));
        lines.for_each(|line| text.push_str(&format_args!("{line}\n").to_string()));
    }
    text
}
