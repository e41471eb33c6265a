//! `dtree run` and `dtree stop`: a tree is carried out from here, by the same engine and with the same record as by a task.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Failure, INTERRUPTED, Outcome,
    approvals::Approvals,
    chosen::{Aim, Chosen, TreeArgs},
    connect::{Connection, Interrupts, block_on},
    consul::ConsulOptions,
    events::{End, Events, Known},
    named::{self, is_name},
    screen::Screen,
    tls::with_system,
};
use crate::{
    consul::Consul,
    engine::{Line, Status},
    probe::Probe,
    runner::{self, Ending, Equipment, Errand, Notices, Order, Running, Senses},
    watch::Watch,
};

/// How often the table is looked at.
const REDRAW: Duration = Duration::from_millis(200);
/// How long those who are told of the end may take to be told.
const TELL_LIMIT: Duration = Duration::from_secs(15);

/// Carries out what the file says; `approved` are waits that are approved in advance.
pub(super) fn run(
    args: &TreeArgs,
    connection: &Connection,
    consul: &ConsulOptions,
    aim: Aim,
    approved: &[String],
    events: Events,
) -> Outcome {
    let begin = || {
        let name = args.file.to_str().filter(|name| is_name(name) && !args.file.exists());
        let chosen = match (name, aim) {
            (Some(name), Aim::Stop { .. }) => named::choose(args, name, connection, aim)?,
            _ => args.choose(connection, aim)?,
        };
        let consul = consul.way_for(chosen.plan.manifest())?;
        let file = args.file.display().to_string();
        block_on(carry_out(chosen, connection, consul, &file, aim, approved, events))
    };
    events.end(begin())
}

/// What happens, for the screen.
struct Lines(mpsc::UnboundedSender<Line>);

impl Notices for Lines {
    // It says what the lines of the log have said.
    fn event(&self, _message: &str) {}

    fn log(&self, line: &Line) {
        // The process may be ending.
        self.0.send(line.clone()).ok();
    }
}

/// Carries a tree out, by this way to Consul if it asks that. `file` is what a user gives to go on with it.
pub(super) async fn carry_out(
    chosen: Chosen,
    connection: &Connection,
    consul: Option<Consul>,
    file: &str,
    aim: Aim,
    approved: &[String],
    events: Events,
) -> Result<End, Failure> {
    let approvals = Approvals::of(&chosen, connection, approved)?;
    connection.client().await?;
    let mut interrupts = Interrupts::catch()?;
    let viewer = chosen.viewer(connection)?;
    let Chosen { name, process, place, plan, files, declared: _ } = chosen;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let watch = Watch::new(None, stop.clone());
    let probe = Probe::new(consul, with_system(), stop.clone());
    let (tell, mut lines) = mpsc::unbounded_channel();
    let senses = Senses {
        watch: watch.subscribe(viewer.clone(), plan.subjects(&place), runner::asks(&plan, &place)),
        probe: probe.asking(viewer.clone()),
    };
    let errand = Errand::of_user(name.clone(), viewer, files, plan.manifest(), place.alloc.clone(), process);
    let order = Order {
        plan,
        place,
        deadlines: BTreeMap::new(),
        equipment: Some(Equipment::Errand(Box::new(errand))),
        viewer: None,
        approvals: None,
    };
    let running = runner::start(order, senses, Arc::new(Lines(tell.clone())), &tasks, stop.clone());
    if let Some(approvals) = approvals {
        tasks.spawn(approvals.serve(running.clone(), tell));
    }
    let mut screen = Screen::new(!events.are_wanted);
    let mut redraw = time::interval(REDRAW);
    let mut n_interrupts = 0_u32;
    let mut ending = None;
    while ending.is_none() {
        tokio::select! {
            biased;
            () = interrupts.next() => {
                n_interrupts += 1;
                if !interrupted(n_interrupts, &running, &mut screen) {
                    break;
                }
            }
            Some(line) = lines.recv() => told(&line, &running, &mut screen, events),
            ended = running.ended() => ending = Some(ended),
            _ = redraw.tick() => screen.draw(|| running.status()),
        }
    }
    while let Ok(line) = lines.try_recv() {
        told(&line, &running, &mut screen, events);
    }
    screen.draw(|| running.status());
    let status = running.status();
    if ending.is_some() {
        // Addresses that are told how it ended.
        tasks.close();
        drop(time::timeout(TELL_LIMIT, tasks.wait()).await);
    }
    stop.cancel();
    let again = match aim {
        Aim::Run => format!("`dtree run {file}` goes on where this run ended"),
        Aim::Stop { .. } => format!("`dtree stop {file}` goes on where this stop ended"),
    };
    let tree = name.to_string();
    let outcome = conclude(ending.as_ref(), &status, &tree, n_interrupts > 0, &again);
    Ok(End { tree, known: Known::of(&status), outcome })
}

/// Something has happened. The last of it is said when all is over.
fn told(line: &Line, running: &Running, screen: &mut Screen, events: Events) {
    let text = line.to_string();
    if running.said_at_end().as_ref() != Some(&text) {
        screen.line(&text);
        events.line(line);
    }
}

/// The user wants an end for the first, second or third time. Whether the run goes on meanwhile.
fn interrupted(times: u32, running: &Running, screen: &mut Screen) -> bool {
    match times {
        1 => {
            screen.say(
                "==> Ends what is under way, and begins nothing new; press Ctrl-C again to leave it as it is\n",
            );
            running.drain();
        }
        2 => {
            screen.say("==> Leaves\n");
            running.leave();
        }
        _ => return false,
    }
    true
}

/// Says how it ended.
fn conclude(
    ending: Option<&Ending>,
    status: &Status,
    tree: &str,
    was_interrupted: bool,
    again: &str,
) -> Result<String, Failure> {
    let title = match &status.run {
        Some(run) => format!("==> Run {run} of {tree}"),
        None => format!("==> {tree}"),
    };
    match ending {
        Some(Ending::Done) => Ok(format!("{title}: {}\n", status.ending.as_deref().unwrap_or("done"))),
        Some(Ending::Failed { message }) => {
            let has_begun = status.run.is_some();
            let why = format!("{title}: {}\n", message.replace(" · ", "\n    "));
            let hint = if has_begun { format!("\nhint: {again}\n") } else { String::new() };
            let code = match (was_interrupted, has_begun) {
                (true, _) => INTERRUPTED,
                (false, true) => super::FAILED,
                (false, false) => super::CANNOT,
            };
            Err(Failure { why: format!("{why}{hint}"), code })
        }
        Some(Ending::Stopped) | None => {
            let open = status.nodes.iter().filter(|node| ["working", "gated"].contains(&node.state));
            let mut why = match (ending, &status.ending) {
                (Some(_), Some(said)) => format!("{title}: {said}\n"),
                _ => format!("{title}: left without a word to Nomad: its lock is free after 21s at most\n"),
            };
            for node in open {
                // Writing into a string cannot fail.
                let _ = writeln!(why, "    still under way: {}: {}: {}", node.name, node.state, node.detail);
            }
            Err(Failure { why: format!("{why}\nhint: {again}\n"), code: INTERRUPTED })
        }
        Some(Ending::Panicked) => Err(Failure::cannot(format!(
            "{title}: there is a mistake in dtree, which has ended this run; please report it with what stands above\n"
        ))),
    }
}
