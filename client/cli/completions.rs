//! `shipmate completions`: what a shell needs to complete our arguments.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::CommandLine;
use crate::output::Output;

/// Print the completions of a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate completions bash > ~/.local/share/bash-completion/completions/shipmate
  shipmate completions fish > ~/.config/fish/completions/shipmate.fish")]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), "shipmate", &mut script);
        output.all(&script).await
    }
}
