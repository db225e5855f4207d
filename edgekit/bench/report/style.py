"""The look of the HTML page, light and dark, in one style sheet."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #5b6776; --faint: #8a95a3; --edge: #e1e6ec;
  --grid: #e8ecf1; --accent: #2563c9; --warn-ink: #8a5300; --warn: #fff4df; --bad-ink: #a3262a; --bad: #fdecec;
  --c0: #2f6fde; --c1: #e0782f; --c2: #1f9d72; --c3: #b1489f;
  --c4: #c9a227; --c5: #5a57c7; --c6: #c23b4a; --c7: #3b93ab;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11161d; --card: #1a212b; --ink: #e7ecf2; --soft: #a3afbd; --faint: #76828f; --edge: #2b3542;
    --grid: #27303b; --accent: #79a8f5; --warn-ink: #f2c77d; --warn: #33291a; --bad-ink: #f5a3a5; --bad: #371f22;
    --c0: #6b9ff2; --c1: #f09a5b; --c2: #4cc498; --c3: #d881c8;
    --c4: #e2c35a; --c5: #9a98ee; --c6: #ee7581; --c7: #6fbdd3;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 72px; }
h1 { margin: 0 0 4px; font-size: 28px; line-height: 1.2; letter-spacing: -.015em; }
h2 { margin: 0 0 4px; font-size: 18px; letter-spacing: -.01em; }
p { margin: 0 0 8px; }
header p, .about { color: var(--soft); }
section { margin-top: 24px; padding: 22px 24px; background: var(--card); border: 1px solid var(--edge);
  border-radius: 12px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 16px; margin-top: 24px; }
.card { padding: 18px 20px; background: var(--card); border: 1px solid var(--edge); border-radius: 12px; }
.card .what { color: var(--soft); font-size: 13px; text-transform: uppercase; letter-spacing: .06em; }
.card .figure { margin: 2px 0 4px; font-size: 24px; font-weight: 650; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.card .figure small { font-size: 15px; font-weight: 500; letter-spacing: 0; color: var(--soft); }
.card .which { color: var(--soft); font-size: 14px; }
.plot { display: block; width: 100%; height: auto; margin-top: 12px; }
.plot text { font-family: inherit; fill: var(--soft); font-size: 13px; }
.plot .tick { fill: var(--faint); font-size: 12px; font-variant-numeric: tabular-nums; }
.plot .group { fill: var(--ink); font-weight: 650; font-size: 14px; }
.plot .label { fill: var(--ink); }
.plot .value { fill: var(--ink); font-variant-numeric: tabular-nums; font-weight: 600; }
.grid { stroke: var(--grid); stroke-width: 1; }
.whisker { stroke: var(--faint); stroke-width: 1.5; }
.frontier { fill: none; stroke: var(--faint); stroke-width: 1.5; stroke-dasharray: 5 4; }
.mark { stroke: var(--card); stroke-width: 1.5; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 10px; color: var(--soft); font-size: 14px; }
.legend span { display: inline-flex; align-items: center; gap: 6px; }
.key .plain { fill: var(--soft); }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); }
.c4 { fill: var(--c4); } .c5 { fill: var(--c5); } .c6 { fill: var(--c6); } .c7 { fill: var(--c7); }
.scroll { overflow-x: auto; margin: 12px -24px -6px; padding: 0 24px 6px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { padding: 7px 9px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--edge);
  font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; font-size: 13px; }
th.text, td.text { text-align: left; }
th:first-child, td:first-child { padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
tbody tr:last-child td { border-bottom: 0; }
sup a { color: var(--accent); text-decoration: none; }
.notes { margin: 10px 0 0; padding: 0; list-style: none; }
.notes li { margin-top: 8px; padding: 8px 12px; border-radius: 8px; background: var(--warn); color: var(--warn-ink); }
.notes li.bad { background: var(--bad); color: var(--bad-ink); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 12px 0 0; color: var(--soft); }
dt { color: var(--ink); font-weight: 600; } dd { margin: 0; }
footer { margin-top: 28px; color: var(--faint); font-size: 13px; }
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
"""
