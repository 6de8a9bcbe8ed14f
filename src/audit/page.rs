//! A report as a table of one format: text, CSV, or one HTML page without scripts.

use std::fmt::Write as _;

use super::{Activity, Report, Verdict, activity::Treated};

/// A table of a report.
struct Table {
    title: &'static str,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// Digits of a digest that people read; JSON and CSV have all of them.
const SHOWN: usize = 16;

fn tables(report: &Report, activity: &Activity) -> Vec<Table> {
    let letters = activity.dead_letters.iter();
    let letters = letters.map(|(code, count)| vec![(*code).to_owned(), count.to_string()]);
    vec![
        documents(activity),
        findings(activity),
        Table {
            title: "Dead letters",
            head: vec!["code", "records"],
            rows: letters.collect(),
        },
        policies(activity),
        fields(activity),
        proof(report),
    ]
}

fn documents(activity: &Activity) -> Table {
    let rows = activity.tenants.iter().map(|(tenant, own)| {
        vec![
            named(tenant),
            own.delivered.to_string(),
            own.without_findings.to_string(),
            own.dead_letters.to_string(),
        ]
    });
    Table {
        title: "Documents",
        head: vec!["tenant", "delivered", "without findings", "dead letters"],
        rows: rows.collect(),
    }
}

fn findings(activity: &Activity) -> Table {
    let rows = activity.findings.iter().map(|(treated, count)| {
        let Treated {
            tenant,
            label,
            operator,
            recognizer,
            key_id,
            basis,
        } = treated;
        let key = key_id.clone().unwrap_or_default();
        let basis = basis.clone().unwrap_or_default();
        let text = [tenant, label, operator, recognizer].map(Clone::clone);
        [text.to_vec(), vec![key, basis, count.to_string()]].concat()
    });
    Table {
        title: "Findings",
        head: vec![
            "tenant",
            "label",
            "operator",
            "recognizer",
            "key",
            "basis",
            "findings",
        ],
        rows: rows.collect(),
    }
}

fn policies(activity: &Activity) -> Table {
    let rows = activity.policies.iter().map(|own| {
        let text = [&own.tenant, &own.policy, &own.pack, &own.weir_version];
        let places = [own.first.clone(), own.last.clone(), own.records.to_string()];
        [text.map(Clone::clone).to_vec(), places.to_vec()].concat()
    });
    Table {
        title: "Policies",
        head: vec![
            "tenant", "policy", "pack", "weir", "first", "last", "records",
        ],
        rows: rows.collect(),
    }
}

fn fields(activity: &Activity) -> Table {
    let rows = activity.fields.iter();
    let mut rows: Vec<Vec<String>> = rows
        .map(|(field, count)| vec![field.clone(), count.to_string()])
        .collect();
    if activity.more_fields > 0 {
        rows.push(vec![
            "(others)".to_owned(),
            activity.more_fields.to_string(),
        ]);
    }
    Table {
        title: "Fields with findings",
        head: vec!["field", "findings"],
        rows,
    }
}

fn proof(report: &Report) -> Table {
    let rows = report.partitions.iter().map(|own| {
        let faults: Vec<String> = own.faults.first.iter().map(ToString::to_string).collect();
        vec![
            own.partition.to_string(),
            own.verdict.to_string(),
            own.summary.records.to_string(),
            own.summary.epochs.len().to_string(),
            faults.join("; "),
        ]
    });
    let commits = report.commits.iter().flat_map(|own| &own.faulty);
    let commits = commits.map(|own| {
        let faults: Vec<String> = own.faults.first.iter().map(ToString::to_string).collect();
        let result = own.verdict.to_string();
        vec![
            own.of.clone(),
            result,
            String::new(),
            String::new(),
            faults.join("; "),
        ]
    });
    let rows = rows.chain(commits);
    Table {
        title: "Proof",
        head: vec!["partition", "result", "records", "epochs", "faults"],
        rows: rows.collect(),
    }
}

fn named(tenant: &str) -> String {
    match tenant {
        "" => "(unknown)".to_owned(),
        tenant => tenant.to_owned(),
    }
}

/// The report as text.
pub fn text(report: &Report, activity: &Activity) -> String {
    let mut text = format!("{}\n", headline(report));
    for table in tables(report, activity) {
        if table.rows.is_empty() {
            continue;
        }
        let mut shown = comfy_table::Table::new();
        shown.load_preset(comfy_table::presets::NOTHING);
        shown.set_header(&table.head);
        for row in &table.rows {
            shown.add_row(row.iter().map(|cell| short(cell)));
        }
        let lines: Vec<String> = shown
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        let _ = write!(text, "\n{}\n{}\n", table.title, lines.join("\n"));
    }
    text.trim_end().to_owned()
}

/// The report as CSV: `table` is the first column, as the tables have different ones.
///
/// # Errors
/// The writer fails; one in memory does not.
pub fn csv(report: &Report, activity: &Activity) -> std::io::Result<String> {
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .from_writer(Vec::new());
    for table in tables(report, activity) {
        let head = table.head.iter().map(|cell| (*cell).to_owned());
        writer.write_record([table.title.to_owned()].into_iter().chain(head))?;
        for row in table.rows {
            let cells = row.into_iter().map(unquestioned);
            writer.write_record([table.title.to_owned()].into_iter().chain(cells))?;
        }
    }
    let bytes = writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

/// A cell that a spreadsheet does not run as a formula.
fn unquestioned(cell: String) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell,
    }
}

/// The report as one HTML page, which loads nothing.
pub fn html(report: &Report, activity: &Activity) -> String {
    let mut body = String::new();
    for table in tables(report, activity) {
        if table.rows.is_empty() {
            continue;
        }
        let _ = write!(body, "<h2>{}</h2>\n<table>\n<tr>", table.title);
        for cell in &table.head {
            let _ = write!(body, "<th>{cell}</th>");
        }
        body.push_str("</tr>\n");
        for row in &table.rows {
            body.push_str("<tr>");
            for cell in row {
                let is_number = !cell.is_empty() && cell.bytes().all(|b| b.is_ascii_digit());
                let class = if is_number { " class=\"n\"" } else { "" };
                let _ = write!(body, "<td{class}>{}</td>", escaped(short(cell)));
            }
            body.push_str("</tr>\n");
        }
        body.push_str("</table>\n");
    }
    let result = match report.verdict() {
        Verdict::Proven => "proven",
        _ => "open",
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>weir audit report</title>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <style>{STYLE}</style></head><body>\n<h1>weir audit report</h1>\n<p class=\"{result}\">{}</p>\n{body}\
         <p>This report shows what a run of weir recorded. It holds no value of a document, and it does not say that weir \
         found every value.</p>\n</body></html>",
        escaped(&headline(report))
    )
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24}\
    table{border-collapse:collapse;width:100%;margin-bottom:2rem}th,td{text-align:left;padding:.3rem .6rem;\
    border-bottom:1px solid #d8dee4;vertical-align:top;overflow-wrap:anywhere}th{font-weight:600}\
    .n{text-align:right;font-variant-numeric:tabular-nums}.proven,.open{padding:.6rem 1rem;border-left:4px solid}\
    .proven{border-color:#1a7f37;background:#eaf6ec}.open{border-color:#bc4c00;background:#fdf1e7}\
    @media print{body{margin:0;max-width:none}}";

fn headline(report: &Report) -> String {
    let all = report.to_string();
    let last = |line: &&str| line.starts_with(&report.verdict().to_string());
    let found = all.lines().rev().find(last);
    found.unwrap_or_default().to_owned()
}

/// A digest by its first digits.
fn short(cell: &str) -> &str {
    let is_digest = cell.len() == 64 && cell.bytes().all(|b| b.is_ascii_hexdigit());
    match is_digest {
        true => &cell[..SHOWN],
        false => cell,
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            sign => escaped.push(sign),
        }
    }
    escaped
}
