package flowtest

import "strings"

// A User-Agent as MAS understands it is NAME/VERSION (MODEL; OS [OSVERSION]).
// The one of the device request is shown on the consent page, the one of the
// token request names the session and the Matrix device.
func modelAndOS(agent string) (model, system string) {
	_, rest, _ := strings.Cut(agent, "(")
	inside, _, ok := strings.Cut(rest, ")")
	if !ok {
		return "", ""
	}
	model, system, ok = strings.Cut(inside, ";")
	if !ok {
		return "", ""
	}
	return strings.TrimSpace(model), strings.TrimSpace(system)
}

// deviceLine is what the consent page says of the device.
func deviceLine(agent string) string {
	model, system := modelAndOS(agent)
	if model == "" {
		return "Device"
	}
	return strings.TrimSuffix(model+" · "+system, " · ")
}

// deviceName is what the device is called in every client, until it is renamed.
func deviceName(client, agent string) string {
	model, _ := modelAndOS(agent)
	if model == "" {
		model = "Unknown device"
	}
	if client == "" {
		return model
	}
	return client + " on " + model
}
