import manifest from '../../package.json' with { type: 'json' };

/** The npm scripts of package.json, by name. */
export const scripts: Readonly<Record<string, string>> = manifest.scripts;
