package metrics

// Help is what each family that is shown means.
var Help = help
