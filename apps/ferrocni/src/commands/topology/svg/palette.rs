//! Colours and fonts, for light and for dark pages.

/// The colours of networks, which can be told apart on both.
const COLORS: [&str; 8] = ["#3b82f6", "#12a37a", "#9061f0", "#e0761c", "#d64f9a", "#0f9bb0", "#a98a08", "#d9534f"];

/// Which colour the network of that number has.
pub(super) fn color(number: usize) -> usize {
    number % COLORS.len()
}

/// The style sheet.
pub(super) fn style() -> String {
    let colors = COLORS
        .iter()
        .enumerate()
        .map(|(number, color)| format!(".w{number}{{stroke:{color}}}.d{number}{{fill:{color}}}\n"));
    format!(
        "<style>\n{SHAPES}{}{LIGHT}@media (prefers-color-scheme:dark){{\n{DARK}}}\n</style>",
        colors.collect::<String>()
    )
}

const SHAPES: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI','Noto Sans','DejaVu Sans',sans-serif;white-space:pre}
.title{font-size:20px;font-weight:650}
.heading{font-size:14px;font-weight:650}
.name{font-size:12.5px;font-weight:600}
.small{font-size:11px;font-weight:400}
.code{font-size:11px;font-family:ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}
.end{text-anchor:end}
.middle{text-anchor:middle}
.wire{fill:none;stroke-width:1.8;stroke-opacity:.85}
.dashed{stroke-dasharray:4 4}
";

const LIGHT: &str = "\
.page{fill:#fff}
.panel{fill:#f6f8fa;stroke:#d1d9e0}
.card{fill:#fff;stroke:#d1d9e0}
.stem{fill:none;stroke:#b7c0c9}
text{fill:#1f2328}
text.muted,tspan.muted{fill:#59636e}
.way{fill:#dafbe1}
text.way{fill:#116329}
.port{fill:#fff3d1}
text.port{fill:#7a4c00}
";

const DARK: &str = "\
.page{fill:#0d1117}
.panel{fill:#151b23;stroke:#30373f}
.card{fill:#0d1117;stroke:#3a424c}
.stem{stroke:#4a535d}
text{fill:#e6edf3}
text.muted,tspan.muted{fill:#9198a1}
.way{fill:#12351f}
text.way{fill:#7ee2a0}
.port{fill:#3b2e0a}
text.port{fill:#f2cc60}
";
