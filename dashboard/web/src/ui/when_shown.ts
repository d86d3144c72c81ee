/** What is made of something large: not for nobody, and not twice of the same. Tell it of each change, and when it is shown. */
export function whenShown<T>(isShown: () => boolean, make: (value: T) => void): (value: T) => void {
  let made: { of: T } | null = null;
  return (value) => {
    if (made?.of === value || !isShown()) return;
    made = { of: value };
    make(value);
  };
}
