//! The path of a file of the task, as the author writes it.

/// A path in the task's directory, or in the directory that the tasks of its allocation share.
///
/// ```text
///   local/x      the task's own, as template and artifact blocks write it
///   /local/x     the same, as `${NOMAD_TASK_DIR}` says it inside the task
///   /secrets/x   likewise
///   /alloc/x     the shared one
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPath<'a> {
    /// Whether it is in `<alloc_dir>/alloc` and not in `<alloc_dir>/<task>`.
    pub is_shared: bool,
    /// The directories on the way and the file's name; never empty, and none of them `.` or `..`.
    pub names: Vec<&'a str>,
}

/// Whether a path leads out of every directory that a task may name, and is otherwise one of a file: by `..`, or from the
/// root of the file system. A user at a command line may allow that.
pub fn leads_out(path: &str) -> bool {
    let mut names = path.split('/').filter(|name| !matches!(*name, "" | ".")).peekable();
    let is_file =
        !path.contains('\0') && !path.ends_with('/') && !path.ends_with("/.") && !path.ends_with("..");
    let is_from_root =
        path.starts_with('/') && !matches!(names.peek(), Some(&("local" | "secrets" | "alloc")));
    is_file && names.peek().is_some() && (is_from_root || names.any(|name| name == ".."))
}

impl<'a> TaskPath<'a> {
    /// Reads a path. Nothing is looked up.
    ///
    /// # Errors
    ///
    /// What is wrong with it: what may follow the path in a sentence.
    pub fn new(path: &'a str) -> Result<Self, String> {
        if path.is_empty() {
            return Err(
                "names no file; write a path in the task's directory, like \"local/x.nomad.hcl\"".to_owned()
            );
        }
        if path.contains('\0') {
            return Err("has a NUL in it, which no path has".to_owned());
        }
        let mut names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        if names.contains(&"..") {
            return Err(
                "leads out of the task's directory; let a template or artifact block bring the file to \"local/\""
                    .to_owned(),
            );
        }
        if names.is_empty() || path.ends_with('/') || path.ends_with("/.") {
            return Err("names a directory; write the path of a file in it".to_owned());
        }
        if names.first() == Some(&"private") {
            return Err("is in a directory that no task sees; use \"local/\"".to_owned());
        }
        let mut is_shared = false;
        if path.starts_with('/') {
            match names.as_slice() {
                ["local" | "secrets", _, ..] => {}
                ["alloc", _, ..] => {
                    is_shared = true;
                    names.remove(0);
                }
                _ => {
                    return Err(
                        "is not in the task's directory, of which \"/local/\", \"/secrets/\" and \"/alloc/\" can be read; let a template or artifact block bring the file to \"local/\""
                            .to_owned(),
                    );
                }
            }
        }
        Ok(Self { is_shared, names })
    }
}
