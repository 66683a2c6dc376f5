// Shows openapi.json with Swagger UI, without its validator badge, which would ask another host.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
  requestInterceptor: (request) => {
    request.headers["X-Requested-With"] = "docs";
    return request;
  },
});
