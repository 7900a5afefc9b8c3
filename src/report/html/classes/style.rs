//! What a page of several classes adds to the style sheet.

/// Ten colours, told apart in common kinds of colour blindness as far as so many can be: each class has a mark of its own too.
pub(super) const SHEET: &str = "
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
