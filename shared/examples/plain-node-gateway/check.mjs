// Checks of values from outside. A check is a function (value, path, report) that calls report(path, message) for
// everything that is wrong, and goes on: one run finds all of it.

/** An object with exactly these fields, each with a check of its own. */
export const object = (fields) =>
  present(isObject, 'must be an object', (value, path, report) => {
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(fields, name)) report(member(path, name), 'unknown field');
    }
    for (const [name, check] of Object.entries(fields)) check(value[name], member(path, name), report);
  });

/** An object whose fields have any name, and values that are alike. */
export const record = (isName, message, check) =>
  present(isObject, 'must be an object', (value, path, report) => {
    for (const [name, item] of Object.entries(value)) {
      if (!isName(name)) report(member(path, name), message);
      check(item, member(path, name), report);
    }
  });

/** A list of so many values at least, all alike. */
export const list = (least, check) =>
  present(Array.isArray, 'must be a list', (value, path, report) => {
    if (value.length < least) report(path, `must have at least ${least}`);
    for (const [i, item] of value.entries()) check(item, `${path}[${i}]`, report);
  });

/** A text that passes the test. The message never repeats it: it may be a secret. */
export const text = (test, message) => present((value) => typeof value === 'string' && test(value), message);

/** A whole number within these bounds. */
export const wholeNumber = (min, max) =>
  present(
    (value) => Number.isInteger(value) && value >= min && value <= max,
    `must be a whole number from ${min} to ${max}`,
  );

export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value that is there, passes the test, and then has its inside checked. */
function present(test, message, checkInside = () => {}) {
  return (value, path, report) => {
    if (value === undefined) report(path, 'is missing');
    else if (test(value)) checkInside(value, path, report);
    else report(path, message);
  };
}

function member(path, name) {
  return path === '' ? name : `${path}.${name}`;
}
