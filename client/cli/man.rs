//! `shipmate man`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;

/// Print the manual page, or write one for each subcommand into a folder.
#[derive(clap::Args)]
#[command(after_help = "Example: shipmate man | man -l -")]
pub(crate) struct Man {
    /// The folder; it is made if it is missing.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self) -> Result<()> {
        let command = crate::Cli::command();
        let Some(folder) = self.out else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            return Ok(std::io::Write::write_all(&mut std::io::stdout(), &page)?);
        };
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        clap_mangen::generate_to(command, &folder).with_context(|| format!("writing to {}", folder.display()))
    }
}
