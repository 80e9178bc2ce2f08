// Checks of values from outside. A check is a function (value, path, report). It calls report(path, message) for each
// fault and continues, so one run finds all faults.

/** An object with exactly these fields. Each field has its own check. */
export const object = (fields) =>
  present(isObject, 'must be an object', (value, path, report) => {
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(fields, name)) report(member(path, name), 'unknown field');
    }
    for (const [name, check] of Object.entries(fields)) check(value[name], member(path, name), report);
  });

/** An object whose field names pass `isName`, and whose values all have the same check. */
export const record = (isName, message, check) =>
  present(isObject, 'must be an object', (value, path, report) => {
    for (const [name, item] of Object.entries(value)) {
      if (!isName(name)) report(member(path, name), message);
      check(item, member(path, name), report);
    }
  });

/** A list of at least `least` values, which all have the same check. */
export const list = (least, check) =>
  present(Array.isArray, 'must be a list', (value, path, report) => {
    if (value.length < least) report(path, `must have at least ${least}`);
    for (const [i, item] of value.entries()) check(item, `${path}[${i}]`, report);
  });

/** A string that passes the test. The message never repeats the value, which may be a secret. */
export const text = (test, message) => present((value) => typeof value === 'string' && test(value), message);

/** A whole number within these bounds. */
export const wholeNumber = (min, max) =>
  present(
    (value) => Number.isInteger(value) && value >= min && value <= max,
    `must be a whole number from ${min} to ${max}`,
  );

/** A value that may be missing. */
export const optional = (check) => (value, path, report) => {
  if (value !== undefined) check(value, path, report);
};

export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value that must be present and pass the test. Then `checkInside` checks its content. */
function present(test, message, checkInside = () => {}) {
  return (value, path, report) => {
    if (value === undefined) report(path, 'is missing');
    else if (test(value)) checkInside(value, path, report);
    else report(path, message);
  };
}

/** The path of a field of the object at `path`. */
export function member(path, name) {
  return path === '' ? name : `${path}.${name}`;
}
