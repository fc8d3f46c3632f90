//! What functions in C are made with: operations that C has no word for, each written once and only where it is used.

/// Pieces of C, each after a line that says what it is called. `@` stands for what all names begin with.
const PIECES: &str = include_str!("support.c");

/// The pieces by their names.
fn pieces() -> impl Iterator<Item = (&'static str, &'static str)> {
    PIECES.split("/*== ").skip(1).filter_map(|piece| piece.split_once(" */\n"))
}

/// What has to stand before all else: checks of how it is compiled, and types.
pub(crate) fn beginning(prefix: &str) -> String {
    piece("checks", prefix)
}

/// What has to stand behind all else.
pub(crate) fn end(prefix: &str) -> String {
    piece("end", prefix)
}

fn piece(name: &str, prefix: &str) -> String {
    let found = pieces().find(|(known, _)| *known == name);
    found.map_or_else(String::new, |(_, text)| text.replace('@', prefix))
}

/// The operations that `text` uses, with those that they use themselves.
pub(crate) fn operations(text: &str, prefix: &str) -> String {
    let all: Vec<(&str, String)> = pieces()
        .filter(|(name, _)| !["checks", "end"].contains(name))
        .map(|(name, text)| (name, text.replace('@', prefix)))
        .collect();
    let mut used = vec![false; all.len()];
    // each uses those before it alone
    for (i, (name, _)) in all.iter().enumerate().rev() {
        let call = format!("{prefix}_{name}(");
        let by_others = all.iter().zip(&used).any(|((_, text), used)| *used && text.contains(&call));
        used[i] = by_others || text.contains(&call);
    }
    all.iter().zip(used).filter(|(_, used)| *used).map(|((_, text), _)| text.as_str()).collect()
}
