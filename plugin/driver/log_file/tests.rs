//! What a log shows, and what nobody can make it do.

use std::{
    fs, mem,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

use super::*;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

/// An allocation's directory, as Nomad makes it.
fn alloc() -> TempDir {
    let alloc = tempfile::tempdir().unwrap();
    fs::create_dir_all(alloc.path().join("alloc/logs")).unwrap();
    alloc
}

fn gate(alloc: &TempDir) -> LogFile {
    LogFile::new(alloc.path(), "gate")
}

fn logs(alloc: &TempDir) -> PathBuf {
    alloc.path().join("alloc/logs")
}

/// The names in the log directory and how long the files are.
fn listing(alloc: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(logs(alloc))
        .unwrap()
        .map(Result::unwrap)
        .map(|entry| format!("{} {}", entry.file_name().display(), entry.metadata().unwrap().len()))
        .collect();
    names.sort();
    names
}

/// Fails instead of hanging when `act` blocks.
fn in_time<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(act()));
    is_done.recv_timeout(Duration::from_secs(10)).expect("it does not block")
}

#[test]
fn lines_have_their_time_and_are_where_nomad_looks() {
    let alloc = alloc();
    let mut log = gate(&alloc);
    log.append(AT, "waiting for postgres").unwrap();
    log.append("2026-11-20T08:14:02.0421Z".parse().unwrap(), "two\nlines").unwrap();
    log.append(AT, "").unwrap();
    insta::assert_snapshot!(fs::read_to_string(logs(&alloc).join("gate.stdout.0")).unwrap(), @"
    1970-01-01T00:00:00.000Z waiting for postgres
    2026-11-20T08:14:02.042Z two
    2026-11-20T08:14:02.042Z lines
    ");
    assert_eq!(fs::read(logs(&alloc).join("gate.stderr.0")).unwrap(), b"");
}

#[test]
fn a_new_process_goes_on_where_the_last_one_ended() {
    let alloc = alloc();
    fs::write(logs(&alloc).join("gate.stdout.3"), "older\n").unwrap();
    fs::write(logs(&alloc).join("gate.stdout.4"), "old\n").unwrap();
    fs::write(logs(&alloc).join("gate.stdout.99999999999999999999"), "").unwrap();
    gate(&alloc).append(AT, "new").unwrap();
    assert_eq!(
        fs::read_to_string(logs(&alloc).join("gate.stdout.4")).unwrap(),
        "old\n1970-01-01T00:00:00.000Z new\n"
    );
    insta::assert_debug_snapshot!(listing(&alloc), @r#"
    [
        "gate.stderr.0 0",
        "gate.stdout.3 6",
        "gate.stdout.4 33",
        "gate.stdout.99999999999999999999 0",
    ]
    "#);
}

#[test]
fn two_files_of_a_mebibyte_are_kept() {
    let alloc = alloc();
    let mut log = gate(&alloc);
    for n in 0..4000 {
        log.append(AT, &format!("{n:4} {}", "x".repeat(995))).unwrap();
    }
    // 1026 bytes a line: 1022 lines a file.
    insta::assert_debug_snapshot!(listing(&alloc), @r#"
    [
        "gate.stderr.0 0",
        "gate.stdout.2 1048572",
        "gate.stdout.3 958284",
    ]
    "#);
    let last = fs::read_to_string(logs(&alloc).join("gate.stdout.3")).unwrap();
    assert!(last.lines().next().unwrap().contains(" 3066 "), "no line is lost between two files");
    assert!(last.lines().last().unwrap().contains(" 3999 "));
}

#[test]
fn a_line_without_end_is_cut() {
    let alloc = alloc();
    let mut log = gate(&alloc);
    log.append(AT, &"é".repeat(3 * 1024 * 1024)).unwrap();
    assert_eq!(listing(&alloc).last().unwrap(), &format!("gate.stdout.0 {}", MAX_LINE + 26));
}

/// What the log does when `plant` has been at work: what it says, and says only once.
fn complaint(alloc: &TempDir) -> String {
    let dir = alloc.path().to_owned();
    in_time(move || {
        let mut log = LogFile::new(dir, "gate");
        let complaint = log.append(AT, "a line").unwrap_err();
        log.append(AT, "a second line").unwrap();
        complaint.to_string()
    })
}

/// A file elsewhere that must stay as it is.
fn victim(alloc: &TempDir) -> PathBuf {
    let victim = alloc.path().join("passwd");
    fs::write(&victim, "root").unwrap();
    victim
}

fn assert_untouched(victim: &Path) {
    assert_eq!(fs::read_to_string(victim).unwrap(), "root");
}

#[test]
fn a_planted_link_is_not_followed() {
    let alloc = alloc();
    let victim = victim(&alloc);
    symlink(&victim, logs(&alloc).join("gate.stdout.0")).unwrap();
    insta::assert_snapshot!(complaint(&alloc), @"gate.stdout.0: Too many levels of symbolic links (os error 40)");
    assert_untouched(&victim);
}

#[test]
fn a_planted_link_to_nothing_makes_no_file_elsewhere() {
    let alloc = alloc();
    let target = alloc.path().join("cron");
    symlink(&target, logs(&alloc).join("gate.stdout.0")).unwrap();
    symlink(&target, logs(&alloc).join("gate.stderr.0")).unwrap();
    complaint(&alloc);
    assert!(!target.exists());
}

#[test]
fn a_second_name_of_another_file_is_not_written_to() {
    let alloc = alloc();
    let victim = victim(&alloc);
    fs::hard_link(&victim, logs(&alloc).join("gate.stdout.0")).unwrap();
    insta::assert_snapshot!(complaint(&alloc), @"gate.stdout.0 has a second name");
    assert_untouched(&victim);
}

#[test]
fn a_fifo_does_not_block_with_and_without_a_reader() {
    let alloc = alloc();
    let fifo = logs(&alloc).join("gate.stdout.0");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    insta::assert_snapshot!(complaint(&alloc), @"gate.stdout.0: No such device or address (os error 6)");

    let reader = File::options().read(true).write(true).open(&fifo).unwrap();
    insta::assert_snapshot!(complaint(&alloc), @"gate.stdout.0 is not a regular file");
    drop(reader);
}

#[test]
fn a_directory_or_a_socket_is_no_log() {
    let alloc = alloc();
    fs::create_dir(logs(&alloc).join("gate.stdout.0")).unwrap();
    insta::assert_snapshot!(complaint(&alloc), @"gate.stdout.0: Is a directory (os error 21)");

    fs::remove_dir(logs(&alloc).join("gate.stdout.0")).unwrap();
    let _socket = UnixListener::bind(logs(&alloc).join("gate.stdout.0")).unwrap();
    insta::assert_snapshot!(complaint(&alloc), @"gate.stdout.0: No such device or address (os error 6)");
}

#[test]
fn no_directory_on_the_way_can_be_a_link() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("logs")).unwrap();
    for link in ["alloc/logs", "alloc"] {
        let alloc = alloc();
        let path = alloc.path().join(link);
        fs::rename(&path, alloc.path().join("moved")).unwrap();
        symlink(outside.path(), &path).unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(complaint(&alloc).replace("alloc:", "logs:"), @"logs: Not a directory (os error 20)");
        }
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(outside.path().join("logs")).unwrap().count(), 0);
}

#[test]
fn rotation_walks_into_no_trap_either() {
    let alloc = alloc();
    let victim = victim(&alloc);
    let mut log = gate(&alloc);
    log.append(AT, "first").unwrap();
    symlink(&victim, logs(&alloc).join("gate.stdout.1")).unwrap();
    let line = "x".repeat(MAX_LINE);
    let complaints = (0..200).filter(|_| log.append(AT, &line).is_err()).count();
    assert_eq!(complaints, 1);
    assert_untouched(&victim);

    fs::remove_file(logs(&alloc).join("gate.stdout.1")).unwrap();
    log.append(AT, "free again").unwrap();
    let log = fs::read_to_string(logs(&alloc).join("gate.stdout.0")).unwrap();
    assert!(log.ends_with("free again\n"), "there was room for one more line in the old file");
}

#[test]
fn a_directory_full_of_names_costs_little() {
    let alloc = alloc();
    for n in 0..11_000 {
        fs::write(logs(&alloc).join(format!("gate.stdout.x{n}")), "").unwrap();
    }
    fs::write(logs(&alloc).join("gate.stdout.999999"), vec![b'x'; 1024 * 1024]).unwrap();
    // Where the planted name is among those looked at, there is no next number: a complaint, and no more.
    gate(&alloc).append(AT, "a line").ok();
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let alloc = alloc();
    let mut log = gate(&alloc);
    log.append(AT, "before").unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let good = mem::replace(&mut log.open.as_mut().unwrap().file, full);
    log.append(AT, "lost").unwrap();
    log.open.as_mut().unwrap().file = good;
    log.append(AT, "after").unwrap();
    insta::assert_snapshot!(fs::read_to_string(logs(&alloc).join("gate.stdout.0")).unwrap(), @"
    1970-01-01T00:00:00.000Z before
    1970-01-01T00:00:00.000Z after
    ");
}

#[test]
fn an_allocation_that_is_gone_is_a_complaint() {
    let alloc = alloc();
    fs::remove_dir_all(alloc.path()).unwrap();
    assert!(complaint(&alloc).ends_with("No such file or directory (os error 2)"));
}
