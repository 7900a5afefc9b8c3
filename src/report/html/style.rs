//! How a page looks: on a screen, light or dark, wide or narrow, and on paper.

/// The style sheet. Blue and orange are told apart in all common kinds of colour blindness, and differ in lightness.
pub(super) const SHEET: &str = "
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --ink: #1f2328; --soft: #5b6470; --line: #d9dde2; --grid: #eceef1; --wash: #f4f5f6;
  --accent: #1f66b5; --accent-wash: #1f66b52e; --contrast: #c05a12; --contrast-wash: #c05a122e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181c; --ink: #e6e8eb; --soft: #a0a8b3; --line: #3a4049; --grid: #262a31; --wash: #1e2126;
    --accent: #6db0f5; --accent-wash: #6db0f53a; --contrast: #f09a4a; --contrast-wash: #f09a4a3a;
  }
}
@media print {
  :root {
    --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --grid: #e6e6e6; --wash: #f3f3f3;
    --accent: #1f66b5; --accent-wash: #1f66b52e; --contrast: #c05a12; --contrast-wash: #c05a122e;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 62rem; padding: 3rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
h1 { font-size: 1.9rem; line-height: 1.2; font-weight: 600; letter-spacing: -0.01em; margin: 0 0 0.4rem; text-wrap: balance; }
h2 { font-size: 1.3rem; font-weight: 600; margin: 3.5rem 0 0.4rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; font-weight: 600; margin: 0 0 0.5rem; }
p { margin: 0.4rem 0 0.8rem; max-width: 44rem; }
code { font: 0.85em/1.5 ui-monospace, 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace; }
.flag { white-space: nowrap; }
.over { color: var(--soft); font-size: 0.9rem; margin: 0 0 0.6rem; }
.under, figcaption, .soft { color: var(--soft); }
.badge {
  display: inline-block; padding: 0 0.55em; margin-left: 0.4em; border: 1px solid currentColor; border-radius: 1em;
  font-size: 0.8rem; font-weight: 500; vertical-align: 0.12em; color: var(--contrast); overflow-wrap: normal;
}
.verdict { border-left: 4px solid var(--accent); padding: 0.1rem 0 0.1rem 1rem; margin: 1.6rem 0; }
.verdict.bad { border-color: var(--contrast); }
.verdict strong { font-weight: 600; }
.verdict p { margin: 0.2rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: 1.2rem 1rem; margin: 1.8rem 0; }
.tiles div { border-top: 1px solid var(--line); padding-top: 0.5rem; }
.tiles b { display: block; white-space: nowrap; font-size: clamp(1.1rem, 4cqi, 1.45rem); font-weight: 600; line-height: 1.25; letter-spacing: -0.01em; }
.tiles span { color: var(--soft); font-size: 0.85rem; display: block; line-height: 1.35; }
dl { display: grid; grid-template-columns: 8.5rem 1fr; gap: 0.35rem 1rem; margin: 1.2rem 0; font-size: 0.95rem; }
dt { color: var(--soft); }
dd { margin: 0; }
ul.said { list-style: none; padding: 0; margin: 1rem 0; max-width: 48rem; }
ul.said li { padding-left: 1rem; border-left: 2px solid var(--line); margin: 0.6rem 0; }
ul.said li.warning { border-color: var(--contrast); }
.stages { display: flex; height: 12px; gap: 2px; margin: 0.5rem 0 0.4rem; max-width: 44rem; }
.stages span { min-width: 1px; border-radius: 1px; background: var(--soft); }
.stages .a, .key.a { background: var(--accent); }
.stages .b, .key.b { background: var(--contrast); }
.stages .c, .key.c { background: var(--soft); }
.stages .d, .key.d { background: var(--line); }
.legend { font-size: 0.85rem; color: var(--soft); margin: 0 0 0.5rem; display: flex; flex-wrap: wrap; gap: 0.1rem 1.1rem; }
.key { display: inline-block; width: 0.75em; height: 0.75em; border-radius: 2px; margin-right: 0.45em; }
.key.line { height: 0; border-top: 2px dashed var(--soft); vertical-align: 0.25em; border-radius: 0; width: 1.2em; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 2.4rem 3rem; margin: 1.6rem 0; }
.figures.single { grid-template-columns: minmax(0, 32rem); }
/* One picture alone would be as wide as the page, and its text as large. */
.figures > :only-child .picture { max-width: 32rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 0.875rem; line-height: 1.45; margin-top: 0.5rem; max-width: 40rem; }
.picture { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--soft); font-size: 12px; }
svg .end { text-anchor: end; }
svg .middle { text-anchor: middle; }
svg .name { fill: var(--ink); font-size: 12px; }
svg .strong { fill: var(--ink); font-weight: 600; }
svg .halo { stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; }
svg .grid { stroke: var(--grid); }
svg .axis { stroke: var(--soft); }
svg .base { stroke: var(--soft); stroke-dasharray: 3 3; fill: none; }
svg .a { stroke: var(--accent); }
svg .b { stroke: var(--contrast); }
svg .c { stroke: var(--soft); }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .curve.thin { stroke-width: 1.25; }
svg .area { stroke-width: 1.25; stroke-linejoin: round; }
svg .area.a { fill: var(--accent-wash); }
svg .area.b { fill: var(--contrast-wash); }
svg .area.c { fill: var(--grid); }
svg .band { stroke: none; fill: var(--accent); fill-opacity: 0.1; }
svg .band.b { fill: var(--contrast); }
svg .dot { stroke: var(--paper); stroke-width: 1; }
svg .dot.a { fill: var(--accent); }
svg .dot.b { fill: var(--contrast); }
svg .dot.c { fill: var(--soft); }
svg .dots { fill: none; stroke-linecap: round; stroke-width: 4; stroke-opacity: 0.65; }
svg .dots.thin { stroke-width: 2.5; }
.column { display: grid; gap: 2.4rem; align-content: start; }
details { margin-top: 0.4rem; }
summary { cursor: pointer; }
svg .ring { fill: none; stroke-width: 1.75; stroke: var(--ink); }
svg .mesh { stroke: var(--paper); stroke-width: 0.5; stroke-linejoin: round; fill: var(--accent); }
svg .mesh.b { fill: var(--contrast); }
svg .solid { fill: var(--paper); }
svg .plane { fill: var(--soft); fill-opacity: 0.14; stroke: var(--soft); stroke-dasharray: 3 3; }
svg .bar { stroke: none; fill: var(--accent); }
svg .bar.b { fill: var(--contrast); }
.forest { border-collapse: collapse; width: 100%; margin: 1rem 0 0.4rem; font-size: 0.9rem; }
.forest th { text-align: left; font-weight: 400; padding: 0 1rem 0 0; width: 26%; line-height: 1.25; }
.forest td { padding: 0; }
.forest td:last-child { text-align: right; width: 6.5rem; padding-left: 0.8rem; white-space: nowrap; }
.forest .group th { font-weight: 600; padding-top: 0.8rem; }
.forest .level th { padding-left: 1rem; }
.strip { display: block; width: 100%; overflow: visible; }
.strip .zero { stroke: var(--line); }
.strip .range { stroke-width: 2; stroke-opacity: 0.55; }
.wide { overflow-x: auto; margin: 1rem 0; }
table.numbers { border-collapse: collapse; font-size: 0.84rem; width: 100%; }
.numbers th, .numbers td { text-align: right; padding: 0.28rem 0 0.28rem 0.85rem; border-bottom: 1px solid var(--grid); white-space: nowrap; }
.numbers th { font-weight: 400; color: var(--soft); border-color: var(--line); vertical-align: bottom; }
.numbers th[scope=row] { text-align: left; padding-left: 0; color: var(--ink); white-space: normal; min-width: 11rem; border-color: var(--grid); }
.numbers th:first-child { text-align: left; padding-left: 0; }
.numbers .group th { padding-top: 0.9rem; font-weight: 600; color: var(--ink); }
.numbers .level th[scope=row] { padding-left: 1rem; }
.confusion { border-collapse: separate; border-spacing: 4px; font-size: 0.875rem; width: 100%; max-width: 26rem; table-layout: fixed; }
.confusion th { font-weight: 400; color: var(--soft); text-align: left; padding: 0.2rem 0.4rem; vertical-align: bottom; }
.confusion td { background: var(--wash); border-radius: 4px; padding: 0.6rem 0.7rem; vertical-align: top; }
.confusion td.right { background: var(--accent-wash); }
.confusion td.wrong { background: var(--contrast-wash); }
.confusion b { display: block; font-size: 1.15rem; font-weight: 600; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.85rem; }
@media (max-width: 600px) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.6rem; }
  .numbers th[scope=row] { min-width: 7rem; }
  .strip .tick.middle:nth-of-type(even) { display: none; }
  .forest th { width: 34%; padding-right: 0.6rem; }
  .forest td:last-child { width: 4.6rem; padding-left: 0.4rem; }
}
@media print {
  body { padding: 0; max-width: none; font-size: 10.5pt; }
  figure, .tiles, .verdict, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .figures { grid-template-columns: 1fr 1fr; gap: 1.4rem 1.6rem; }
  .wide { overflow: visible; }
  table.numbers { font-size: 7pt; }
  .numbers th, .numbers td { padding-left: 0.4rem; }
  .numbers th[scope=row] { min-width: 6rem; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(6rem, 1fr)); gap: 0.8rem; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
";

/// What a page of several classes adds. Ten colours, told apart in common kinds of colour blindness as far as so many can be: each class has a mark of its own too.
pub(super) const SHEET_OF_CLASSES: &str = "
:root {
  --k0: #1f66b5; --k1: #c05a12; --k2: #0a8060; --k3: #ab3f8c; --k4: #8a6a00; --k5: #2b93c4; --k6: #6a51c9; --k7: #a3232b;
  --k8: #2f353c; --k9: #8a6a52;
}
@media (prefers-color-scheme: dark) {
  :root {
    --k0: #6db0f5; --k1: #f09a4a; --k2: #3fc49a; --k3: #ec8fd0; --k4: #d8bd45; --k5: #8fdcf5; --k6: #b3a1ff; --k7: #ff8076;
    --k8: #f4f6f8; --k9: #c9a58a;
  }
}
@media print {
  :root {
    --k0: #1f66b5; --k1: #c05a12; --k2: #0a8060; --k3: #ab3f8c; --k4: #8a6a00; --k5: #2b93c4; --k6: #6a51c9; --k7: #a3232b;
    --k8: #2f353c; --k9: #8a6a52;
  }
}
.k0 { --k: var(--k0); } .k1 { --k: var(--k1); } .k2 { --k: var(--k2); } .k3 { --k: var(--k3); }
.k4 { --k: var(--k4); } .k5 { --k: var(--k5); } .k6 { --k: var(--k6); } .k7 { --k: var(--k7); }
.k8 { --k: var(--k8); } .k9 { --k: var(--k9); } .kx { --k: var(--soft); }
svg .k { stroke: var(--k); }
svg .k.thin { stroke-width: 1.25; }
svg .mark { fill: var(--k); stroke: var(--paper); stroke-width: 0.75; }
svg .marks { fill: var(--k); fill-opacity: 0.8; stroke: none; }
svg .area.k { fill: var(--k); fill-opacity: 0.25; }
svg .region { fill: var(--k); fill-opacity: 0.11; stroke: none; }
svg .edge { fill: none; stroke: var(--ink); stroke-width: 1.25; stroke-linejoin: round; }
svg svg { overflow: visible; }
svg .share { fill: var(--k); stroke: none; fill-opacity: 0.75; }
svg .inside { fill: var(--paper); stroke: none; }
.glyph { width: 0.9em; height: 0.9em; margin-right: 0.4em; vertical-align: -0.08em; overflow: visible; flex: none; }
.legend .glyph { font-size: 1rem; }
.legend span { min-width: 0; }
table.bars { margin-bottom: 0.4rem; }
.bars th { width: 32%; padding-top: 0.1rem; padding-bottom: 0.1rem; }
.bars td:last-child { width: 12rem; }
.lanes td { padding: 0.35rem 0; border-top: 1px solid var(--grid); }
.lanes th { border-top: 1px solid var(--grid); vertical-align: top; padding-top: 0.4rem; }
.lanes tr:last-child td, .lanes tr:last-child th, .lanes .group th { border: none; }
.lanes td:last-child { line-height: 18px; font-size: 0.82rem; }
.lanes td:last-child span { display: block; }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(47%, 12.5rem), 1fr)); gap: 1.4rem 1.6rem; margin: 1rem 0; }
.small h4, .named { font-size: 0.875rem; font-weight: 600; margin: 0 0 0.2rem; }
.small p { font-size: 0.8rem; margin: 0; color: var(--soft); }
.block { margin-top: 2.6rem; }
table.heat { border-collapse: separate; border-spacing: 3px; font-size: 0.84rem; }
.heat th { font-weight: 400; color: var(--soft); padding: 0.2rem 0.45rem; text-align: right; vertical-align: bottom; max-width: 8rem; overflow-wrap: normal; }
.heat th[scope=row] { text-align: left; color: var(--ink); padding-left: 0; vertical-align: middle; min-width: 4.5rem; max-width: 12rem; overflow-wrap: anywhere; }
.heat td { position: relative; min-width: 3rem; padding: 0.4rem 0.5rem; text-align: right; background: var(--wash); border-radius: 3px; white-space: nowrap; }
.heat td i { position: absolute; inset: 0; border-radius: 3px; background: var(--contrast); }
.heat td.right i { background: var(--accent); }
.heat td data, .heat td small { position: relative; }
.heat th:first-child { text-align: left; padding-left: 0; }
.heat td small { display: block; font-size: 0.72rem; opacity: 0.8; line-height: 1.2; }
.stages { margin-top: 1.6rem; }
@media (max-width: 600px) {
  .bars th { width: 36%; }
  .bars td:last-child { width: 8.5rem; }
  table.heat { border-spacing: 2px; font-size: 0.8rem; }
  .heat td { min-width: 2.4rem; padding: 0.35rem; }
}
@media print {
  .small { grid-template-columns: repeat(4, 1fr); gap: 0.8rem; }
  .small > div { break-inside: avoid; }
  .lanes tr, .heat { break-inside: avoid; }
  .legend { break-after: avoid; }
}
";
