//! `djstreamctl backup schedule`: what the timer did and will do.

use proto::Timestamp;
use proto::api::backup::{BackupState, Backups};

use super::{PATH, Place, offline};
use crate::client::CallError;
use crate::output;

const CHANGE: &str = "[backup] interval_hours, keep and folder in the settings, then restart DjStream";

impl Place<'_> {
    pub(super) async fn schedule(&self) -> Result<(), CallError> {
        let (all, runs) = match self.client.get::<Backups>(PATH).await {
            Ok(all) => (all, true),
            Err(CallError::Unreachable { .. }) => (self.without_instance()?, false),
            Err(error) => return Err(error),
        };
        output::one(self.format, &all, &text(&all, runs))
    }

    fn without_instance(&self) -> Result<Backups, CallError> {
        let (settings, folder) = (self.settings()?, self.folder()?);
        Ok(Backups {
            items: offline::list(&folder)?,
            folder: folder.path().display().to_string(),
            running: None,
            last_failure: None,
            next_at: None,
            interval_hours: settings.backup.interval_hours,
            keep: settings.backup.keep as u64,
        })
    }
}

fn text(all: &Backups, runs: bool) -> String {
    let good = all.items.iter().filter(|item| item.state == BackupState::Verified);
    let last = good.clone().next().map_or_else(
        || "never".to_owned(),
        |item| format!("{}, {}", item.created_at.map(at).unwrap_or_default(), item.id),
    );
    let next = match (runs, all.next_at, all.interval_hours) {
        (_, _, 0) => "never by itself".to_owned(),
        (true, Some(next), _) => at(next),
        _ => "when DjStream runs".to_owned(),
    };
    let mut lines = vec![
        format!("last    {last}"),
        format!("next    {next}"),
        format!(
            "every   {}",
            if all.interval_hours == 0 { "-".to_owned() } else { format!("{} h", all.interval_hours) }
        ),
        format!("kept    {} of at most {}, in {}", good.count(), all.keep, all.folder),
    ];
    lines.extend(all.running.iter().map(|running| format!("now     {} {}", running.id, running.step)));
    lines.extend(all.last_failure.iter().map(|one| format!("failed  {}: {}", at(one.at), one.reason)));
    lines.push(format!("change  {CHANGE}"));
    lines.join("\n")
}

fn at(time: Timestamp) -> String {
    time.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_says_what_was_and_what_will_be() {
        let mut all = Backups {
            items: Vec::new(),
            folder: "/b".to_owned(),
            running: None,
            last_failure: None,
            next_at: Some(Timestamp::from_ms(1_795_000_000_000)),
            interval_hours: 24,
            keep: 3,
        };
        let shown = text(&all, true);
        assert!(
            shown.contains("last    never\nnext    2026-11-18T11:06:40.000Z\nevery   24 h\nkept    0 of at most 3"),
            "{shown}"
        );
        assert!(text(&all, false).contains("next    when DjStream runs"));
        all.interval_hours = 0;
        assert!(text(&all, true).contains("next    never by itself"));
    }
}
