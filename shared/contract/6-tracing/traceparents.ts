/** The trace id of the values below. */
export const traceId = '0af7651916cd43dd8448eb211c80319c';

/** Their parent id. */
export const parentId = 'b7ad6b7169203331';

/** A traceparent of version 00 with the flag sampled. */
export const proper = `00-${traceId}-${parentId}-01`;

/** Values of traceparent that W3C Trace Context allows. */
export const wellFormed = [
  proper,
  `00-${traceId}-${parentId}-00`,
  `00-${traceId}-${parentId}-ff`,
  `00-${'0'.repeat(31)}1-${'0'.repeat(15)}1-01`,
  `01-${traceId}-${parentId}-01`,
  `fe-${traceId}-${parentId}-09`,
  `cc-${traceId}-${parentId}-01-what-the-future-will-be-like`,
];

/** Values that are no traceparent: what they are, and a value per header field. */
export const malformed: Array<[what: string, ...values: string[]]> = [
  ['an empty one', ''],
  ['a word', 'nonsense'],
  ['version ff', `ff-${traceId}-${parentId}-01`],
  ['a version of one digit', `0-${traceId}-${parentId}-01`],
  ['a version that is no number', `.0-${traceId}-${parentId}-01`],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${parentId}-01`],
  ['a parent id of zeros', `00-${traceId}-${'0'.repeat(16)}-01`],
  ['a trace id in capitals', `00-${traceId.toUpperCase()}-${parentId}-01`],
  ['a parent id in capitals', `00-${traceId}-${parentId.toUpperCase()}-01`],
  ['flags in capitals', `00-${traceId}-${parentId}-0F`],
  ['a version in capitals', `CC-${traceId}-${parentId}-01`],
  ['a short trace id', `00-${traceId.slice(1)}-${parentId}-01`],
  ['a long trace id', `00-${traceId}0-${parentId}-01`],
  ['a short parent id', `00-${traceId}-${parentId.slice(1)}-01`],
  ['a long parent id', `00-${traceId}-${parentId}0-01`],
  ['a letter that is no digit', `00-${traceId.slice(1)}g-${parentId}-01`],
  ['no flags', `00-${traceId}-${parentId}`],
  ['empty flags', `00-${traceId}-${parentId}-`],
  ['flags of one digit', `00-${traceId}-${parentId}-1`],
  ['flags of three digits', `00-${traceId}-${parentId}-001`],
  ['version 00 with more behind', `${proper}-more`],
  ['version 00 with a dash behind', `${proper}-`],
  ['a later version with more behind, but no dash', `cc-${traceId}-${parentId}-01.more`],
  ['a later version with a third digit of flags', `cc-${traceId}-${parentId}-011`],
  ['a later version without a parent id', `cc-${traceId}-01`],
  ['other dashes', `00_${traceId}_${parentId}_01`],
  ['a space within', `00- ${traceId}-${parentId}-01`],
  ['a list of two', `${proper}, ${proper}`],
  ['a letter outside ASCII', `${proper.slice(0, -1)}\xe9`],
  ['two, the first of a later version', `cc-${traceId}-${parentId}-01-more`, proper],
  ['two of them', proper, `00-${traceId}-${parentId}-00`],
  ['the same twice', proper, proper],
];
