import type { RecordedCommand } from './blocks.ts';

const columns = 100;
const fontSize = 14;
// Wide enough for the usual fixed-width fonts: a column is 0.55 to 0.61 of the font size.
const columnWidth = 8.6;
const lineHeight = 20;
const margin = 20;
const barHeight = 28;
const secondsPerCommand = 1.2;

const style = `
text { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace; }
text { font-size: ${fontSize}px; white-space: pre; }
.comment { fill: #8b949e; } .command { fill: #7ee787; } .output { fill: #e6edf3; }
@keyframes appear { from { opacity: 0; } }
@media (prefers-reduced-motion: no-preference) { g { animation: appear 0.3s both; } }
`;

/**
 * Draws a recording as a terminal, in SVG. It brings its own dark background, so that it can be read in light and in
 * dark pages. One command appears after the other; a viewer without animation shows all of them at once.
 */
export function drawTerminal(commands: readonly RecordedCommand[]): string {
  let y = barHeight + margin;
  const groups = commands.map(({ comments, command, output }, index) => {
    const draw = (kind: string, text: string) =>
      wrap(text).map((line) => {
        y += lineHeight;
        return `<text class="${kind}" x="${margin}" y="${y - lineHeight / 2}" xml:space="preserve">${escapeXml(line)}</text>`;
      });
    const lines = [
      ...comments.flatMap((comment) => draw('comment', comment)),
      ...draw('command', `$ ${command}`),
      ...(output === '' ? [] : output.split('\n').flatMap((line) => draw('output', line))),
    ];
    y += lineHeight;
    const delay = (index * secondsPerCommand).toFixed(1);
    return `<g style="animation-delay: ${delay}s">\n${lines.join('\n')}\n</g>`;
  });
  const width = Math.ceil(columns * columnWidth) + 2 * margin;
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (colour, index) =>
      `<circle cx="${margin + index * 20}" cy="${barHeight / 2 + 4}" r="6" fill="${colour}"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}">`,
    `<title>A recorded terminal</title>`,
    `<style>${style}</style>`,
    `<rect width="${width}" height="${y}" rx="10" fill="#0d1117" stroke="#30363d"/>`,
    ...dots,
    ...groups,
    '</svg>\n',
  ].join('\n');
}

/** A terminal breaks a long line at its last column. */
function wrap(line: string): string[] {
  return line.match(new RegExp(`.{1,${columns}}`, 'g')) ?? [''];
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
