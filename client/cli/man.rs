//! `shipmate man`: the manual.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};

use crate::CommandLine;
use crate::output::Output;

/// Print the manual, or write a page for each subcommand
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate man | man -l -
  shipmate man --out ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Write the pages into this folder, which is made if it is missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<()> {
        let mut command = CommandLine::command().disable_help_subcommand(true);
        if let Some(folder) = self.out {
            let write = || {
                std::fs::create_dir_all(&folder)?;
                clap_mangen::generate_to(command, &folder)
            };
            return write().with_context(|| format!("write the pages into {}", folder.display()));
        }
        command.build();
        let mut pages = Vec::new();
        for page in std::iter::once(&command).chain(command.get_subcommands()) {
            clap_mangen::Man::new(page.clone()).render(&mut pages)?;
        }
        output.all(&pages).await
    }
}
