"""The page's style sheet: light and dark by the reader's preference, one column on a phone."""

from __future__ import annotations

from recurra.report.markup import Markup

CSS = Markup("""
:root { color-scheme: light dark; --page: #f6f7f9; --paper: #fff; --ink: #16191d; --soft: #5b6470; --line: #dde1e7;
  --hit: 29 95 209; --miss: 196 78 0; --good: #14713d; --bad: #b3261e; --bar: rgb(29 95 209 / .55);
  --c0: #1d5fd1; --c1: #d95f02; --c2: #1b8a5a; --c3: #a03bb5; --c4: #8a6d00; --c5: #c2255c;
  --c6: #0b7d8a; --c7: #6b7280; --c8: #7a4a21; --c9: #5b8c00; }
@media (prefers-color-scheme: dark) {
  :root { --page: #101216; --paper: #191c22; --ink: #e8eaed; --soft: #9aa3af; --line: #2c313a;
    --hit: 50 112 224; --miss: 205 95 15; --good: #62c78f; --bad: #f28b82; --bar: rgb(72 136 245 / .7);
    --c0: #6ea3ff; --c1: #ff9d4d; --c2: #58c99a; --c3: #d58be6; --c4: #d9bb4a; --c5: #f783ac;
    --c6: #5fd0dc; --c7: #a8b0bd; --c8: #d0a37a; --c9: #b5e05a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 16px 56px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 20px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 12px; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 18px 20px; margin: 0 0 16px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin: 0 0 16px; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.card span { display: block; }
.what { color: var(--soft); font-size: 13px; }
.value { font-size: 27px; font-weight: 650; line-height: 1.35; font-variant-numeric: tabular-nums; }
.value small { font-size: 15px; font-weight: 500; white-space: nowrap; }
.gap { font-size: 12.5px; color: var(--soft); } .gap.better { color: var(--good); } .gap.worse { color: var(--bad); }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: 14px; }
th, td { padding: 5px 14px 5px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  unicode-bidi: isolate; }
th { font-weight: 500; }
thead th { color: var(--soft); font-size: 12.5px; white-space: nowrap; vertical-align: bottom; }
tbody tr:last-child > * { border-bottom: 0; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; padding-left: 14px; }
.best { font-weight: 700; }
.text { max-width: 34em; overflow-wrap: break-word; white-space: pre-wrap; }
.bar { background: linear-gradient(var(--bar), var(--bar)) left bottom / var(--w) 3px no-repeat; }
.note { color: var(--soft); font-size: 13px; margin: 8px 0 0; }
.heat { font-size: 13px; font-variant-numeric: tabular-nums; border-collapse: separate; border-spacing: 1px; }
.heat th, .heat td { border: 0; text-align: center; vertical-align: middle; padding: 0; }
.heat td { height: 44px; min-width: 84px; background: rgb(128 140 160 / .07); border-radius: 3px; }
.heat thead td { background: none; }
.heat th { font-size: 12.5px; max-width: 14em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.heat tbody th { text-align: right; padding-right: 8px; position: sticky; left: 0; background: var(--paper); }
.heat thead th { padding: 0 4px 6px; }
.heat .hit { background: rgb(var(--hit) / var(--a)); } .heat .miss { background: rgb(var(--miss) / var(--a)); }
.heat .deep { color: #fff; }
.heat.many { font-size: 9.5px; }
.heat.many td { height: 20px; min-width: 21px; border-radius: 2px; } .heat.many th { font-size: 11px; max-width: 10em; }
.heat.many thead th { vertical-align: bottom; padding: 0 0 4px; }
.heat.many thead span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 10em; overflow: hidden;
  display: inline-block; }
figure { margin: 0 0 10px; } figcaption { font-size: 13.5px; margin-bottom: 4px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 20px; }
.legend { margin-left: 10px; color: var(--soft); } .key { margin-right: 12px; white-space: nowrap; }
.key::before { content: ""; display: inline-block; width: 14px; height: 3px; margin: 0 6px 3px 0; border-radius: 2px;
  background: var(--c); }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 14px; }
svg .point { font-size: 9px; }
svg line { stroke: var(--line); } .middle { text-anchor: middle; } .end { text-anchor: end; }
.sound .scroll { margin-top: 6px; } .sound audio { display: block; width: 100%; max-width: 420px; height: 36px; }
svg .weight { fill: var(--c0); } svg .below { fill: var(--c1); }
polyline { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; } circle { fill: var(--c); }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); }
.c3 { --c: var(--c3); } .c4 { --c: var(--c4); } .c5 { --c: var(--c5); }
.c6 { --c: var(--c6); } .c7 { --c: var(--c7); } .c8 { --c: var(--c8); } .c9 { --c: var(--c9); }
dl { display: grid; grid-template-columns: minmax(8em, max-content) 1fr; gap: 4px 22px; margin: 0; font-size: 14px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; unicode-bidi: isolate; }
summary { cursor: pointer; font-weight: 600; } details > :not(summary) { margin-top: 10px; }
.pair { display: flex; flex-wrap: wrap; gap: 18px 56px; align-items: flex-start; } .pair > * { max-width: 100%; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 0 16px; }
.tables > .wide { grid-column: 1 / -1; } .wide table { width: 100%; } .wide .text { max-width: none; }
pre { overflow-x: auto; font: 12.5px/1.55 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; margin: 10px 0 0; }
@media (max-width: 600px) { main { padding: 16px 10px 40px; } section { padding: 14px 12px; } h1 { font-size: 21px; }
  .cards { grid-template-columns: 1fr 1fr; gap: 8px; } .card { padding: 10px 12px; } .value { font-size: 22px; }
  th, td { padding-right: 4px; font-size: 12px; } .n { padding-left: 4px; }
  .unit { white-space: normal; } thead th { white-space: normal; }
  .wide .text { min-width: 6em; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 6px; } }
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
""")
