//! Pages with a table in them that a command writes.

use std::fs;

use anyhow::{Context, Result};

const END: &str = "<!-- end -->\n";

/// A page as it is, and as it is with this table in the place of the command's.
pub(crate) fn with_table(page: &str, command: &str, table: &str) -> Result<(String, String)> {
    let begin = format!("<!-- The table that `cargo xtask {command}` writes: begin -->\n");
    let text = fs::read_to_string(page).with_context(|| format!("reading {page}"))?;
    let (before, rest) = text.split_once(&begin).with_context(|| format!("{page} has lost the place of the table"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{page} has lost the end of the table"))?;
    let fresh = format!("{before}{begin}\n{table}\n{END}{after}");
    Ok((text, fresh))
}
