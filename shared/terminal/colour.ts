const { FORCE_COLOR, NO_COLOR } = process.env;
const wanted = FORCE_COLOR ? FORCE_COLOR !== '0' : !NO_COLOR && process.stdout.isTTY;

const paint = (code: number) => (text: string) => (wanted ? `\u001b[${code}m${text}\u001b[0m` : text);

/** Colours for stdout. FORCE_COLOR decides if it is set; otherwise only a terminal without NO_COLOR gets colours. */
export const colour = { bold: paint(1), red: paint(31), green: paint(32), cyan: paint(36) };
