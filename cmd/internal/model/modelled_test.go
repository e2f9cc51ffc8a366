package model

// modelled tells whether this is the build on which writeOverlay was used.
const modelled = false
