INSERT INTO branch VALUES (1,'East Yard','Derby',NULL),(2,'Quay','Hull',NULL),(3,'Ring Road','Derby',NULL);
INSERT INTO mechanic VALUES (1,'Tess','Moor',4200,'2012-03-01',NULL,1),(2,'Olu','Ade',3100,'2016-07-15',1,1),(3,'Finn','Cole',2800,'2019-01-10',1,2),(4,'Ruth','Moor',3300,'2015-11-02',2,2),(5,'Sam','Ito',2500,'2021-05-20',2,NULL);
UPDATE branch SET manager_id = 1 WHERE branch_id = 1; UPDATE branch SET manager_id = 4 WHERE branch_id = 2;
INSERT INTO owner VALUES (1,'Gwen Park','gwen@mail.test','555-1'),(2,'Ivo Stern','ivo@post.test',NULL),(3,'Lena Fox','lena@mail.test','555-3'),(4,'Tom Reed',NULL,'555-4');
INSERT INTO car VALUES (1,'Volt','Dart',150,1200,2015,1),(2,'Volt','Gale',220,1500,2018,2),(3,'Orion','Pico',75,900,2010,1),(4,'Orion','Tern',110,1100,2015,3),(5,'Kestrel','Max',300,1900,2020,2);
INSERT INTO repair VALUES (1,1,2,'2022-01-05',320.5,'closed'),(2,1,3,'2022-03-11',80,'closed'),(3,2,2,'2022-03-20',1500,'open'),(4,3,4,'2023-02-02',60,'closed'),(5,3,2,'2023-02-15',410,'waiting'),(6,4,4,'2023-06-30',75,'closed'),(7,1,1,'2023-07-01',990,'open');
