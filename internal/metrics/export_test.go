package metrics

// Help is the help text of each family that the page shows.
var Help = help
