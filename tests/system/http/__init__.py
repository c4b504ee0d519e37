"""The bytes on the connection: both of the API's ways to write a stream, plain and on TLS, behind nginx or not."""
