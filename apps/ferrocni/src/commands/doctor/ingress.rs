//! Does this host answer the ports that every host of its cluster is to answer?

use overlay::{Agent, Places};

use super::finding::Finding;
use super::listening::program_on;
use super::survey::Survey;
use crate::failure::Failure;
use crate::ingress::{Problem, answers};

const START: &str = "systemctl start ferrocni-overlay";

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let answers = answers()?;
    if answers.is_empty() && Places::default().publications().attachments()?.is_empty() {
        return Ok(Vec::new());
    }
    let (mut findings, runs) = (Vec::new(), Agent::default().reach().is_ok());
    if !runs {
        let problem = "it does not run: ports that every host answers lead where they led before, and other hosts forget the containers of \
                       this one";
        findings.push(Finding::new("ferrocni-overlay", problem).mended_by(START));
    }
    for answer in answers.iter().filter(|answer| survey.is_about(&answer.network)) {
        let Some(problem) = &answer.problem else { continue };
        let object = format!("port {} of network {}", answer.port, answer.network);
        let said = format!("every host answers it, and this one does not: {}", problem.in_words());
        let program = program_on(answer.port.port, &answer.port.protocol.to_string())?;
        findings.push(match (problem, program) {
            (Problem::Lost(_), _) => Finding::new(object, said).mended_by(if runs { "ferrocni reload" } else { START }),
            (Problem::Told(_), Some((pid, name))) => {
                Finding::new(object, format!("{said} ({name}, process {pid})")).mended_by(format!("kill {pid}"))
            }
            (Problem::Told(_), None) => Finding::new(object, said),
        });
    }
    Ok(findings)
}
