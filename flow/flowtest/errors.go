package flowtest

import "net/http"

// oauthError is an error of the authorization server with the sentence that MAS
// puts to its code.
func oauthError(status int, code string) answer {
	return oauthProblem(status, code, description(code))
}

func oauthProblem(status int, code, text string) answer {
	return jsonAnswer(status, map[string]any{"error": code, "error_description": text}, "Access-Control-Allow-Origin", everyOrigin)
}

// description is what MAS says to each code, mostly the words of RFC 6749, 7009,
// 7591 and 8628.
func description(code string) string {
	switch code {
	case "invalid_request":
		return "The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed."
	case "invalid_client":
		return "Client authentication failed."
	case "invalid_grant":
		return "The provided access grant is invalid, expired, or revoked."
	case "unauthorized_client":
		return "The client is not authorized to request an access token using this method."
	case "unsupported_grant_type":
		return "The authorization grant type is not supported by the authorization server."
	case "unsupported_response_type":
		return "The authorization server does not support obtaining an access token using this method."
	case "unsupported_token_type":
		return "The authorization server does not support the revocation of the presented token type."
	case "invalid_redirect_uri":
		return "The value of one or more redirection URIs is invalid."
	case "invalid_client_metadata":
		return "The value of one of the client metadata fields is invalid and the server has rejected this request."
	case "access_denied":
		return "The resource owner or authorization server denied the request."
	case "authorization_pending":
		return "The authorization request is still pending"
	case "expired_token":
		return `The "device_code" has expired, and the device authorization session has concluded`
	}
	return ""
}

// malformed is what MAS 1.22 answers to a form it cannot read. It means to say
// 400 and says 500, so a mistake of the client looks like one of the server.
func malformed(reason string) answer {
	return oauthProblem(http.StatusInternalServerError, "server_error", "Failed to deserialize form body: "+reason)
}

// tokenAnswer is a success of the token or device endpoint: the only ones that
// forbid caching.
func tokenAnswer(v any) answer {
	return jsonAnswer(http.StatusOK, v, "Cache-Control", "no-store", "Pragma", "no-cache", "Access-Control-Allow-Origin", everyOrigin)
}

// matrixAnswer is an answer of the homeserver.
func matrixAnswer(status int, v any) answer {
	return jsonAnswer(status, v, "Cache-Control", "no-cache, no-store, must-revalidate", "Access-Control-Allow-Origin", everyOrigin)
}

func matrixError(status int, code, text string) answer {
	return matrixAnswer(status, map[string]any{"errcode": code, "error": text})
}

// unknownToken is the homeserver's refusal of a token. A token that is alive but
// lacks the API scope gets the same errcode.
func unknownToken(text string) answer {
	return matrixAnswer(http.StatusUnauthorized, map[string]any{"errcode": "M_UNKNOWN_TOKEN", "error": text, "soft_logout": false})
}
