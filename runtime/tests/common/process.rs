//! Processes of their own, and what they take.

/// The bytes of address space and of memory this process has.
#[cfg(target_os = "linux")]
pub fn memory() -> [usize; 2] {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let mut pages = text.split_whitespace().map(|pages| pages.parse::<usize>().unwrap());
    [0; 2].map(|_| pages.next().unwrap() * 4096)
}

/// Runs `body` in a new process that has run nothing else, with these environment variables.
#[cfg(unix)]
pub fn in_a_process_of_its_own(test: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    const CHILD: &str = "BAYESLIFT_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--test-threads", "1"]).env(CHILD, "").envs(variables.iter().copied());
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
