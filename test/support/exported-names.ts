import { parse } from '@babel/parser';

/** The names that a source declares and exports. Names that it passes on from another file are left out. */
export function exportedNames(source: string): string[] {
  const { program } = parse(source, { sourceType: 'module', plugins: ['typescript'] });
  return program.body.flatMap((statement) => {
    if (statement.type !== 'ExportNamedDeclaration') return [];
    const { declaration } = statement;
    const declared = declaration?.type === 'VariableDeclaration' ? declaration.declarations : [declaration];
    return declared.flatMap((one) =>
      one && 'id' in one && one.id?.type === 'Identifier' ? one.id.name : [],
    );
  });
}
