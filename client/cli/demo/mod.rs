//! stub
use clap::Args;
#[derive(Args)]
pub(crate) struct Demo {}
impl Demo {
    pub(crate) async fn run(self, _: &crate::context::Context, _: &mut crate::output::Output) -> anyhow::Result<()> {
        Ok(())
    }
}
